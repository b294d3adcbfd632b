"""Tests that need a LiveKit server, workers as processes, and callers."""
