"""Front ends that write the worker's rows too, as they are free to do."""

import json
from uuid import UUID, uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from tests.faults.rooms.ledger import Ledger, nothing_left
from tests.postgres.server import Connection
from tests.rooms.rows import Reader
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = [pytest.mark.room, pytest.mark.slow_fault]


async def _call(pg: Connection, room: str) -> tuple[UUID, str]:
    """Make the row that a front end makes before the call; return its id and the metadata."""
    call_id = await pg.fetchval(
        "insert into voice_calls (session_id, room_name) values ($1, 'Support Call') returning id",
        room,
    )
    return call_id, json.dumps({"callId": str(call_id)})


async def test_40_the_front_end_ends_the_call_first(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """Its status and its time stay; the worker adds what it still holds."""
    room = f"ended-{uuid4().hex[:8]}"
    call_id, metadata = await _call(pg, room)
    async with Caller(server, room=room, voice=voice) as caller:
        ledger = Ledger(caller)
        await server.create_room(room, metadata)
        await ledger.greeted(create=False)
        await ledger.ask_on()
        ended_at = await pg.fetchval(
            "update voice_calls set status = 'completed', ended_at = now() - interval '1 second'"
            " where id = $1 returning ended_at",
            call_id,
        )
        await server.delete_room(room)
        rows = await Reader(pg).when(room, lambda rows: bool(rows.call["end_reason"]))
    assert rows.call["id"] == call_id
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "room_closed")
    assert rows.call["ended_at"] == ended_at
    ledger.check(rows)
    assert rows.messages[-1]["interrupted"]
    await nothing_left(pg, worker)


async def test_41_the_row_is_deleted_in_mid_call(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """The caller notices nothing; what is recorded afterwards is discarded."""
    room = f"deleted-{uuid4().hex[:8]}"
    call_id, metadata = await _call(pg, room)
    async with Caller(server, room=room, voice=voice) as caller:
        ledger = Ledger(caller)
        await server.create_room(room, metadata)
        await ledger.greeted(create=False)
        deleted = "delete from voice_calls where id = $1 and room_sid is not null returning id"
        await until(lambda: pg.fetchval(deleted, call_id), what="the call to be claimed")
        await ledger.ask()
    await nothing_left(pg, worker)
    assert await pg.fetchval("select count(*) from voice_calls where session_id = $1", room) == 0
    assert await pg.fetchval("select count(*) from voice_messages where call_id = $1", call_id) == 0
    tombstone = "select count(*) from voice_worker.tombstones where call_id = $1"
    assert await pg.fetchval(tombstone, call_id) == 1
