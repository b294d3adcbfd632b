"""How long the agent waits for its first caller, and for one who may come back."""

import asyncio
from collections.abc import Callable

from callrecord.recording.room.participants import ROOM_CLOSED
from callrecord.recording.room.people import Leave, People


class Patience:
    """Calls back when the agent waits for nobody any more.

    A caller who leaves may come back within the grace period: the call goes on, with a new leg. A
    phone rings as long as its own provider allows.
    """

    def __init__(
        self,
        people: People,
        *,
        grace_s: float,
        no_caller_timeout_s: float,
        over: Callable[[], None],
    ) -> None:
        """Wait for `people`, which is updated before `joined` and `left` are called."""
        self._people = people
        self._grace_s = grace_s
        self._no_caller_timeout_s = no_caller_timeout_s
        self._over = over
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to wait for the first caller, unless one has come already."""
        if self._people.last_left is None:
            self._wait(self._no_caller_timeout_s)

    def joined(self) -> None:
        """Stop waiting: a caller has joined."""
        self.stop()

    def left(self, leave: Leave) -> None:
        """Wait for a caller who has left; without a grace period if they can't come back."""
        may_come_back = leave.answered and leave.reason not in ROOM_CLOSED
        self._wait(self._grace_s if may_come_back else 0.0)

    def stop(self) -> None:
        """Stop waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, seconds: float) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._waited)

    def _waited(self) -> None:
        if not self._people.here and not self._people.ringing:
            self._over()
