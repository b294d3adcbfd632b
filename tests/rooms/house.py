"""A worker that takes many short calls, some at once, and what each has left."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid4

from local.caller import Caller, Server
from local.demo.rows import Rows, read_rows
from tests.postgres.server import Connection
from tests.rooms.worker import Worker
from tests.waiting import until

AT_ONCE = 3
"""Calls."""

Case = TypeVar("Case")


async def for_each(cases: dict[str, Case], test: Callable[[Case], Awaitable[None]]) -> None:
    """Run a test with each case, some at once; a failure tells its case."""
    places = asyncio.Semaphore(AT_ONCE)

    async def run(name: str, case: Case) -> None:
        async with places:
            try:
                await test(case)
            except BaseException as error:
                error.add_note(f"case: {name}")
                raise

    async with asyncio.TaskGroup() as group:
        for name, case in cases.items():
            group.create_task(run(name, case))


@dataclass(frozen=True)
class House:
    """One worker that takes all these calls, some at once, and what it leaves."""

    server: Server
    worker: Worker
    pg: Connection
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def call(
        self,
        room: str = "",
        *,
        metadata: str = "",
        job_metadata: str = "",
        signed: str = "",
        **caller: Any,
    ) -> Rows:
        """Call, hear the greeting, hang up; return the rows once the call has ended well."""
        seen = self.worker.log.stat().st_size
        name = room or f"bad-{uuid4().hex[:8]}"
        sid = await self.server.create_room(name, metadata, job_metadata=job_metadata)
        async with Caller(self.server, room=name, metadata=signed, **caller) as guest:
            await guest.join(create=False)
            await guest.agent_speaking(timeout_s=60)
        rows = await until(lambda: self._ended(sid), timeout_s=60, what="the end")
        assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "caller_hangup")
        assert rows.call["connected_at"] < rows.call["ended_at"]
        assert [message["role"] for message in rows.messages] == ["assistant"]
        async with self.reading:
            refused = await self.pg.fetchval("select count(*) from voice_worker.refused_events")
        assert refused == 0
        self._check_log(seen)
        return rows

    async def row(self, **columns: Any) -> UUID:
        """Insert a row as a front end does; return its id."""
        call_id = uuid4()
        columns = {"id": call_id, "session_id": f"row-{call_id}", "room_name": "Call"} | columns
        places = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
        await self.pg.execute(
            f"insert into voice_calls ({', '.join(columns)}) values ({places})",  # noqa: S608
            *columns.values(),
        )
        return call_id

    async def _ended(self, sid: str) -> Rows | None:
        async with self.reading:
            call_id = await self.pg.fetchval(
                "select id from voice_calls where room_sid = $1 and ended_at is not null", sid
            )
            return None if call_id is None else await read_rows(self.pg, call_id)

    def _check_log(self, seen: int) -> None:
        """No line is broken in two, and none of ours tells of a failure.

        LiveKit's own warn of a slow machine.
        """
        whole, _, _ = self.worker.log.read_bytes()[seen:].rpartition(b"\n")  # others go on
        lines = [json.loads(line) for line in whole.decode().split("\n")]
        assert lines
        assert [line for line in lines if line["level"] in ("error", "critical")] == []
        ours = [line for line in lines if line["logger"].startswith("voice.")]
        assert [line for line in ours if line["level"] == "warning"] == []
