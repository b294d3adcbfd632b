"""Postgres away for an hour: disk, memory, catching up, and the calls that run meanwhile."""
