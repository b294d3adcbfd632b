"""Ends the calls of lost workers, calls that no worker serves, and legs that no worker sees."""

from typing import Protocol
from uuid import UUID

from callrecord.errors import Transient
from callrecord.postgres.workers import CHUNK, FIRST, Workers
from callrecord.privacy import private_logger

logger = private_logger("voice.sweep")

ROUND = 10
"""Short statements per round; the next round continues after them."""


class Rooms(Protocol):
    """Asks LiveKit about its rooms. Each method raises Transient if LiveKit does not answer."""

    async def there(self, names: list[str], /) -> set[str]:
        """Return which of these rooms exist."""
        ...

    async def inside(self, name: str, /) -> set[str]:
        """Return the sids of the participants in a room."""
        ...


class Sweeper:
    """Ends calls that their workers can't end.

    The database decides which, and only for a worker that has watched for long enough. Each method
    is safe to repeat, and raises VoiceError.
    """

    def __init__(
        self, workers: Workers, watcher: UUID, rooms: Rooms | None, *, not_served_s: float
    ) -> None:
        """Create it.

        Args:
            workers: The connection.
            watcher: Id of this worker; its heartbeats show how long it has watched.
            rooms: Asks LiveKit. If None, calls without a worker are not ended, nor are the legs of
                people who stay after the agent left.
            not_served_s: Seconds that a row waits for a worker before its room is checked.
        """
        self._workers = workers
        self._watcher = watcher
        self._rooms = rooms
        self._not_served_s = not_served_s
        self._after = FIRST
        self._after_leg = FIRST

    async def sweep(self) -> None:
        """End the calls of workers that are lost."""
        for _ in range(ROUND):
            swept = await self._workers.sweep(self._watcher)
            for worker, calls in swept.lost.items():
                extra = {"lost_worker": str(worker), "calls": calls}
                logger.error("worker lost, its calls were ended", extra=extra)
            if not swept.lost:
                return

    async def end_unserved(self) -> None:
        """End rows that no worker claimed and whose room does not exist."""
        if self._rooms is None:
            return
        for _ in range(ROUND):
            found = await self._workers.unserved(self._not_served_s, self._after)
            try:
                there = await self._rooms.there([row.room for row in found]) if found else set()
            except Transient as error:
                logger.warning(
                    "LiveKit did not list its rooms, will try again", extra={"error": str(error)}
                )
                return
            gone = [row.id for row in found if row.room not in there]
            ended = 0
            if gone:
                ended = await self._workers.end_unserved(self._watcher, gone, self._not_served_s)
            if ended:
                logger.warning("calls that no worker served were ended", extra={"calls": ended})
            self._after = found[-1].id if len(found) == CHUNK else FIRST
            if self._after == FIRST:
                return

    async def end_legs(self) -> None:
        """End the legs of people who left their room after the agent did.

        A leg ends at the first check that does not find its participant in the room. Each check
        covers one chunk of legs, and the next check continues after it.
        """
        if self._rooms is None:
            return
        found = await self._workers.open_legs(self._after_leg)
        try:
            inside = {room: await self._rooms.inside(room) for room in {leg.room for leg in found}}
        except Transient as error:
            logger.warning(
                "LiveKit did not list participants, will try again", extra={"error": str(error)}
            )
            return
        gone = [leg.id for leg in found if leg.sid not in inside[leg.room]]
        if gone:
            await self._workers.end_legs(gone)
        self._after_leg = found[-1].id if len(found) == CHUNK else FIRST
