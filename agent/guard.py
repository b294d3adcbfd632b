"""What makes a handler safe: its errors are told to the recorder, not raised into LiveKit."""

from collections.abc import Callable

Guard = Callable[[str, Callable[..., None]], Callable[..., None]]
"""Takes a name for the log and a handler; see `callrecord.recording.recorder.Recorder.guard`."""
