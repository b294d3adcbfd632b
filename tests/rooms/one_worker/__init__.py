"""Rooms that one worker with the common settings serves."""
