"""Scripted calls and their transcripts, for `call` and `demo`."""
