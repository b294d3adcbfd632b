"""A stream's channel with somebody looking on."""

from collections.abc import Callable
from typing import Any


class Watched:
    """Stands before the channel that a plugin answers in: tells each answer, then passes it on."""

    def __init__(
        self, channel: Any, told: Callable[[Any], None], closed: Callable[[], None] | None = None
    ) -> None:
        """`told` and `closed` must not raise."""
        self._channel = channel
        self._told = told
        self._closed = closed
        self.muted = False
        """Nobody listens any more: answers are told and go nowhere."""

    def send_nowait(self, value: Any) -> None:
        """Tell an answer and pass it on."""
        self._told(value)
        if not self.muted:
            self._channel.send_nowait(value)

    async def send(self, value: Any) -> None:
        """Likewise."""
        self._told(value)
        if not self.muted:
            await self._channel.send(value)

    def close(self) -> None:
        """Close the channel; no answer reaches anybody after this."""
        self.muted = True
        self._channel.close()
        if self._closed is not None:
            self._closed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)
