"""Prints what the demo waits for when nothing else has been printed for a while."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from rich.console import Console
from rich.text import Text

SILENCE_S: Final = 6.0
_TICK_S: Final = 0.25


class Pulse:
    """Prints the demo's lines, and a line of its own after SILENCE_S seconds without one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began_at = time.monotonic()
        self._last_at = self._began_at
        self._doing = ""

    def progress(self, text: str) -> None:
        """Print a progress line with the seconds since the start."""
        self._doing = text.partition(",")[0]
        self._print_line(text)

    def say(self, print_line: Callable[[], None], doing: str) -> None:
        """Print a line of the conversation; `doing` names the next activity."""
        print_line()
        self._doing = doing
        self._last_at = time.monotonic()

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Print such lines for the duration of the block."""
        task = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            task.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            if time.monotonic() - self._last_at >= SILENCE_S:
                self._print_line(f"{self._doing} ...")

    def _print_line(self, text: str) -> None:
        self._last_at = time.monotonic()
        seconds = self._last_at - self._began_at
        self._console.print(Text(f"{seconds:5.1f} s  {text}", style="dim"))
