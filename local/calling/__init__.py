"""Calls that follow a script, and how they are told: for `call` and `demo`."""
