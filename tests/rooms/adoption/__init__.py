"""Somebody else's agent, recorded by one line; and the package it comes from."""
