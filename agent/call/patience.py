"""Patience: how long the agent waits for its first caller, and for one who may come back."""

import asyncio
from collections.abc import Callable

from callrecord.recording.room.participants import ROOM_CLOSED
from callrecord.recording.room.people import Leave, People


class Patience:
    """Calls back once nobody is waited for any more.

    A caller who leaves may come back within the grace: the call goes on, with a new leg. A phone
    rings as long as its own provider lets it.
    """

    def __init__(
        self,
        people: People,
        *,
        grace_s: float,
        no_caller_timeout_s: float,
        over: Callable[[], None],
    ) -> None:
        """Wait for `people`, who are counted in and out before this is told of them."""
        self._people = people
        self._grace_s = grace_s
        self._no_caller_timeout_s = no_caller_timeout_s
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to wait for the first caller; who has come already is not waited for."""
        if self._people.last_left is None:
            self._wait(self._no_caller_timeout_s)

    def joined(self) -> None:
        """Note that somebody is there."""
        self.stop()

    def left(self, leave: Leave) -> None:
        """Note that somebody has left; when nobody is there any more, the grace begins."""
        may_come_back = leave.answered and leave.reason not in ROOM_CLOSED
        self._wait(self._grace_s if may_come_back else 0.0)

    def stop(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._waited)

    def _waited(self) -> None:
        if not self._people.here and not self._people.ringing:
            self._over()
