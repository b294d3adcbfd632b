"""The table of workers: heartbeats, and the end of calls whose worker is lost."""

import asyncio
from typing import Any, Literal
from uuid import UUID

import msgspec

from callrecord.errors import Transient
from callrecord.postgres.store import Store

ANSWER_S = 10.0
"""How long an answer may take, connecting included: a heartbeat that waits is none."""

CHUNK = 100
"""Rows that are asked for at once: those that nobody may serve, legs that nobody sees."""

AT_ONCE = 10
"""Calls that one statement ends."""

FIRST = UUID(int=0)


class Swept(msgspec.Struct, frozen=True):
    """What a sweep did.

    Attributes:
        state: Done; or not, since the sweeper has not been watching for long enough, or since
            another one sweeps just now.
        lost: Workers that are lost, and how many calls of each were ended.
        seconds: For how long the sweeper has to watch yet.
    """

    state: Literal["swept", "watching", "another"]
    lost: dict[UUID, int] = {}
    seconds: float | None = None


class Unserved(msgspec.Struct, frozen=True):
    """A row that waits for an agent, and the name of its LiveKit room."""

    id: UUID
    room: str


class OpenLeg(msgspec.Struct, frozen=True):
    """A leg that goes on after its call has ended.

    Attributes:
        room: Name of the LiveKit room.
        sid: LiveKit's id of the participant.
    """

    id: UUID
    room: str
    sid: str


class Workers(Store):
    """A connection of its own for heartbeats and sweeps: a slow batch must not hold them up.

    Each method is one statement, and raises what `Store.apply` raises.
    """

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self._one_at_a_time = asyncio.Lock()

    async def beat(self, about: dict[str, Any]) -> bool:
        """Write a heartbeat; return whether a sweep has taken the worker for lost meanwhile."""
        return await self._run("beat", msgspec.json.encode(about).decode()) == "True"

    async def leave(self, worker_id: UUID) -> None:
        """Say that the worker ends with everything shipped."""
        await self._run("leave", worker_id)

    async def forget(self, worker_id: UUID) -> None:
        """Take a worker's row away."""
        await self._run("forget_worker", worker_id)

    async def sweep(self, worker_id: UUID) -> Swept:
        """End the calls of lost workers, if this one may."""
        return msgspec.json.decode(await self._run("sweep", worker_id), type=Swept)

    async def unserved(self, older_than_s: float, after: UUID = FIRST) -> list[Unserved]:
        """Return rows that no worker has taken, by their ids, at most CHUNK of them."""
        found = await self._run("unserved", older_than_s, after, CHUNK)
        return msgspec.json.decode(found, type=list[Unserved])

    async def end_unserved(self, worker_id: UUID, ids: list[UUID], older_than_s: float) -> int:
        """End those of these rows that still wait; return how many.

        Each statement ends AT_ONCE calls, since a transcript costs what its turns make it cost.
        """
        ended = 0
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            # Null, and so no number, while the sweeper may not.
            found = await self._run("end_unserved", worker_id, some, older_than_s)
            ended += int(found) if found.isdecimal() else 0
        return ended

    async def open_legs(self, after: UUID = FIRST) -> list[OpenLeg]:
        """Return legs of people whom the agent has left, by their ids, at most CHUNK of them."""
        found = await self._run("open_legs", after, CHUNK)
        return msgspec.json.decode(found, type=list[OpenLeg])

    async def end_legs(self, ids: list[UUID]) -> None:
        """End those of these legs that are open, now."""
        await self._run("end_legs", ids)

    def drop(self) -> None:
        """Close the connection without a word to the server."""
        self._drop()

    async def _run(self, name: str, *arguments: object) -> str:
        try:
            async with self._one_at_a_time, asyncio.timeout(ANSWER_S):
                return await super()._run(name, *arguments)
        except TimeoutError as error:
            raise Transient(f"no answer within {ANSWER_S:.0f} s") from error
