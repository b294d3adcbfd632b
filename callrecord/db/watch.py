"""The eye on the others: calls of lost workers, and calls that nobody serves, are ended."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from callrecord.db.errors import Transient
from callrecord.db.privacy import private_logger
from callrecord.db.workers import CHUNK, FIRST, Workers

logger = private_logger("voice.sweep")

ROUND = 10
"""Statements of a round, each short; the next one goes on behind them."""

Rooms = Callable[[list[str]], Awaitable[set[str]]]
"""Which of these rooms LiveKit has. Raises Transient if that can't be told."""


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
            rooms: Asks LiveKit; without it no call is found to be served by nobody.
            not_served_s: Seconds that a row waits for a worker before it is asked for.
        """
        self._workers = workers
        self._watcher = watcher
        self._rooms = rooms
        self._not_served_s = not_served_s
        self._after = FIRST

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
                there = await self._rooms([row.room for row in found]) if found else set()
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
