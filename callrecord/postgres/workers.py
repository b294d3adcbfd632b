"""The table of workers: heartbeats, and the end of calls whose worker is lost."""

import asyncio
from typing import Any, Literal
from uuid import UUID

import msgspec

from callrecord.errors import Transient
from callrecord.postgres.store import Link

ANSWER_S = 10.0
"""Time limit of a statement, including the connection: a delayed heartbeat is useless."""

CHUNK = 100
"""Rows per query of `unserved` and `open_legs`."""

AT_ONCE = 10
"""Calls that one statement ends."""

FIRST = UUID(int=0)


class Swept(msgspec.Struct, frozen=True):
    """The result of a sweep.

    Attributes:
        state: `swept`: it was done; `watching`: this worker has not watched for long enough yet;
            `another`: another worker is sweeping.
        lost: For each lost worker, how many calls were ended.
        seconds: How much longer this worker has to watch.
    """

    state: Literal["swept", "watching", "another"]
    lost: dict[UUID, int] = {}
    seconds: float | None = None


class Unserved(msgspec.Struct, frozen=True):
    """A row that waits for an agent, and the name of its LiveKit room."""

    id: UUID
    room: str


class OpenLeg(msgspec.Struct, frozen=True):
    """A leg that is still open after its call has ended.

    Attributes:
        room: Name of the LiveKit room.
        sid: LiveKit's id of the participant.
    """

    id: UUID
    room: str
    sid: str


class Workers(Link):
    """A separate connection for heartbeats and sweeps: a slow batch must not delay them.

    Each method runs one statement at a time, and raises what `Store.apply` raises.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self._one_at_a_time = asyncio.Lock()

    async def beat(self, about: dict[str, Any]) -> bool:
        """Write a heartbeat; return whether a sweep has counted the worker as lost."""
        return await self._run("beat", msgspec.json.encode(about).decode()) == "True"

    async def leave(self, worker_id: UUID) -> None:
        """Record that the worker stops with everything shipped."""
        await self._run("leave", worker_id)

    async def forget(self, worker_id: UUID) -> None:
        """Delete a worker's row."""
        await self._run("forget_worker", worker_id)

    async def sweep(self, worker_id: UUID) -> Swept:
        """End the calls of lost workers, if this worker has watched for long enough."""
        return msgspec.json.decode(await self._run("sweep", worker_id), type=Swept)

    async def unserved(self, older_than_s: float, after: UUID = FIRST) -> list[Unserved]:
        """Return rows that no worker has claimed, in the order of their ids, at most CHUNK."""
        found = await self._run("unserved", older_than_s, after, CHUNK)
        return msgspec.json.decode(found, type=list[Unserved])

    async def end_unserved(self, worker_id: UUID, ids: list[UUID], older_than_s: float) -> int:
        """End those of these rows that still wait; return how many.

        Each statement ends at most AT_ONCE calls, because a long transcript takes time to write.
        """
        ended = 0
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            # Null, not a number, while this worker may not sweep.
            found = await self._run("end_unserved", worker_id, some, older_than_s)
            ended += int(found) if found.isdecimal() else 0
        return ended

    async def open_legs(self, after: UUID = FIRST) -> list[OpenLeg]:
        """Return legs of people who stay after the agent left, by their ids, at most CHUNK."""
        found = await self._run("open_legs", after, CHUNK)
        return msgspec.json.decode(found, type=list[OpenLeg])

    async def end_legs(self, ids: list[UUID]) -> None:
        """End those of these legs that are still open, with the current time."""
        await self._run("end_legs", ids)

    def drop(self) -> None:
        """Close the connection without telling the server."""
        self._drop()

    async def _run(self, name: str, *arguments: object) -> str:
        try:
            async with self._one_at_a_time, asyncio.timeout(ANSWER_S):
                return await super()._run(name, *arguments)
        except TimeoutError as error:
            raise Transient(f"no answer within {ANSWER_S:.0f} s") from error
