"""Ends the calls of lost workers, the calls that no worker serves, and legs that no worker sees."""

from typing import Protocol
from uuid import UUID

from callrecord.errors import Transient
from callrecord.postgres.workers import CHUNK, FIRST, Workers
from callrecord.privacy import private_logger

logger = private_logger("voice.sweep")

ROUND = 10
"""Statements of a round, each short; the next one goes on behind them."""


class Rooms(Protocol):
    """Asks LiveKit for its rooms. Each method raises Transient if that can't be told."""

    async def there(self, names: list[str], /) -> set[str]:
        """Return those of these rooms that LiveKit has."""
        ...

    async def inside(self, name: str, /) -> set[str]:
        """Return the sids of a room's participants."""
        ...


class Watch:
    """Ends calls for their workers. The database decides, and only for who has watched long enough.

    Each method may be called again at any time, and raises VoiceError.
    """

    def __init__(
        self, workers: Workers, watcher: UUID, rooms: Rooms | None, *, not_served_s: float
    ) -> None:
        """Make it.

        Args:
            workers: The connection.
            watcher: Id of the worker whose heartbeats tell how long it has watched.
            rooms: Asks LiveKit; without it no call is found to be served by nobody, and legs of
                people whom the agent has left stay open.
            not_served_s: Seconds that a row waits for a worker before it is asked for.
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
                told = {"lost_worker": str(worker), "calls": calls}
                logger.error("worker lost, its calls were ended", extra=told)
            if not swept.lost:
                return

    async def end_unserved(self) -> None:
        """End rows that no worker took and whose room is not there."""
        if self._rooms is None:
            return
        for _ in range(ROUND):
            found = await self._workers.unserved(self._not_served_s, self._after)
            try:
                there = await self._rooms.there([row.room for row in found]) if found else set()
            except Transient as error:
                logger.warning("LiveKit could not be asked for rooms", extra={"error": str(error)})
                return
            gone = [row.id for row in found if row.room not in there]
            ended = 0
            if gone:
                ended = await self._workers.end_unserved(self._watcher, gone, self._not_served_s)
            if ended:
                logger.warning("calls that nobody served were ended", extra={"calls": ended})
            self._after = found[-1].id if len(found) == CHUNK else FIRST
            if self._after == FIRST:
                return

    async def end_legs(self) -> None:
        """End the legs of people who left their room after the agent did.

        A leg ends at the first look that does not find its participant in the room. Each look takes
        a chunk of legs, and the next look continues behind it.
        """
        if self._rooms is None:
            return
        found = await self._workers.open_legs(self._after_leg)
        try:
            inside = {room: await self._rooms.inside(room) for room in {leg.room for leg in found}}
        except Transient as error:
            logger.warning("LiveKit could not be asked for people", extra={"error": str(error)})
            return
        gone = [leg.id for leg in found if leg.sid not in inside[leg.room]]
        if gone:
            await self._workers.end_legs(gone)
        self._after_leg = found[-1].id if len(found) == CHUNK else FIRST
