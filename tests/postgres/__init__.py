"""Tests that need a Postgres."""
