"""Why and when a call ends: the first reason given counts."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from callrecord.events import now

HANG_UP = ("agent_hangup", "silence", "max_duration", "error")
"""Ends after which nobody is to be left in the room."""


class Ending:
    """The end of one call.

    Attributes:
        reason: One of those that `callrecord.events` lists; empty while the call goes on.
        at: When it ended.
        detail: Kept in the row, under `metadata.end`.
    """

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self.reason = ""
        self.at: datetime | None = None
        self.detail: dict[str, Any] = {}
        self._on_end = on_end

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return bool(self.reason)

    def end(self, reason: str, at: datetime | None = None, **detail: Any) -> None:
        """End the call, and have what serves it shut down."""
        if self.note(reason, at, **detail):
            self._on_end(reason)

    def note(self, reason: str, at: datetime | None = None, **detail: Any) -> bool:
        """Only note how it ended, if nothing is noted yet; return whether it was not."""
        if self.over:
            return False
        self.reason, self.at = reason, at or now()
        self.detail |= detail
        return True
