"""A row of a front end that no worker takes, beside a real LiveKit server."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local.caller import Server
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = pytest.mark.room


async def test_a_row_whose_room_is_not_there_ends_and_one_whose_room_is_waits(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    reader = Reader(pg)
    absent, there = (f"{name}-{uuid4().hex[:8]}" for name in ("absent", "there"))
    for name in (absent, there):
        await pg.execute(
            "insert into voice_calls (session_id, room_name) values ($1, 'Call')", name
        )
    nobodys = replace(server, agent_name="nobody-of-this-name")
    await nobodys.create_room(there)
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=server.agent_name,
        AGENT_HEARTBEAT_S="0.1",
        AGENT_WORKER_LOST_S="1.5",
        AGENT_NOT_SERVED_MIN="0.02",
    )
    await worker.start()
    try:
        row = await until(lambda: _worker(pg), what="its row, with LiveKit's id")
        rows = await reader.ended(absent)
        assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "not_served")
        assert rows.call["ended_at"] == rows.call["created_at"]
        waiting = await reader.call(there)
        assert waiting is not None
        assert waiting.call["status"] == "pending"
        await server.delete_room(there)
        rows = await reader.ended(there)
        assert rows.call["end_reason"] == "not_served"
    finally:
        assert await worker.stop() == 0
    assert (row["agent_name"], row["kind"]) == (server.agent_name, "worker")
    stopped = "select stopped_at is not null from voice_worker.workers where id = $1"
    assert await pg.fetchval(stopped, row["id"])


async def _worker(pg: Connection) -> dict[str, Any] | None:
    row = await pg.fetchrow(
        "select * from voice_worker.workers where livekit_worker_id like 'AW\\_%'"
    )
    return None if row is None else dict(row)
