"""A pace: what may change at any rate is written at once, and then at most every second."""

import asyncio
from collections.abc import Callable
from typing import Final

INTERVAL_S: Final = 1.0


class Pace:
    """Calls `write(key)` for each key that is due: the first time at once, then at its pace.

    Needs a running event loop.
    """

    def __init__(self, write: Callable[[str], None], *, interval_s: float = INTERVAL_S) -> None:
        self._write = write
        self._interval_s = interval_s
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiting: set[str] = set()

    def due(self, key: str) -> None:
        """Write the key now, or when its interval is over."""
        if key in self._timers:
            self._waiting.add(key)
            return
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._interval_s, self._interval_over, key)
        self._write(key)

    def forget(self, key: str) -> None:
        """Write it no more."""
        self._waiting.discard(key)
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    def _interval_over(self, key: str) -> None:
        del self._timers[key]
        if key in self._waiting:
            self._waiting.remove(key)
            self.due(key)
