"""Rescues a call from stalled and failed turns, from silence, and from endless duration."""
