"""An observed channel of a stream."""

from collections.abc import Callable
from typing import Any


class Watched:
    """Wraps the channel that a plugin answers in: reports each answer, then passes it on."""

    def __init__(
        self,
        channel: Any,
        answered: Callable[[Any], None],
        closed: Callable[[], None] | None = None,
    ) -> None:
        """`answered` gets each answer; neither it nor `closed` may raise."""
        self._channel = channel
        self._answered = answered
        self._closed = closed
        self.muted = False
        """Whether answers are only reported and not passed on."""

    def send_nowait(self, value: Any) -> None:
        """Report an answer and pass it on."""
        self._answered(value)
        if not self.muted:
            self._channel.send_nowait(value)

    async def send(self, value: Any) -> None:
        """Report an answer and pass it on."""
        self._answered(value)
        if not self.muted:
            await self._channel.send(value)

    def close(self) -> None:
        """Close the channel; later answers are not passed on."""
        self.muted = True
        self._channel.close()
        if self._closed is not None:
            self._closed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)
