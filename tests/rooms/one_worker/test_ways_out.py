"""Ways in which a call of the one worker ends, each in a real room: its row, its legs, its room."""

import asyncio
import os
import signal
import sys
import time
from uuid import uuid4

import pytest
from livekit import api

from local.caller import Caller, Server
from local.demo.rows import Rows
from local.places import PROJECT
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.worker import Worker

pytestmark = pytest.mark.room


@pytest.mark.usefixtures("worker")
async def test_the_caller_is_put_out_of_the_room(server: Server, pg: Connection) -> None:
    """Removed by the API: the call is over at once, without the grace for a rejoin."""
    room = f"removed-{uuid4().hex[:8]}"
    async with Caller(server, room=room) as caller:
        await _greeted(caller)
        at = time.time()
        async with _api(server) as client:
            who = api.RoomParticipantIdentity(room=room, identity=caller.identity)
            await client.room.remove_participant(who)
        rows = await Reader(pg).ended(room)
    _check(rows, "completed", "room_closed", at)
    assert rows.participants[1]["disconnect_reason"] == "participant_removed"


@pytest.mark.usefixtures("worker")
async def test_the_room_is_deleted_in_mid_sentence(server: Server, pg: Connection) -> None:
    """What was typed and what was said until then is kept."""
    room = f"deleted-{uuid4().hex[:8]}"
    async with Caller(server, room=room) as caller:
        await _greeted(caller)
        began = time.monotonic()
        await caller.type("Tell me a story, please.")
        await caller.agent_speech(began)
        at = time.time()
        await server.delete_room(room)
        rows = await Reader(pg).ended(room)
    _check(rows, "completed", "room_closed", at)
    assert said(rows, "user") == ["Tell me a story, please."]
    assert said(rows, "assistant")[1].startswith("Once")  # as far as it was heard
    assert rows.messages[-1]["interrupted"]


async def test_the_client_is_gone_without_a_word(
    worker: Worker, stack: Stack, server: Server, pg: Connection
) -> None:
    """A client that is killed leaves nothing but silence: LiveKit finds out, and then the call."""
    room = f"gone-{uuid4().hex[:8]}"
    seen = worker.log.stat().st_size
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "call", "--room", room, "--no-listen"),
        *("--say", "What is your name?", "--say", "Tell me a story, please."),
        cwd=PROJECT,
        env={**os.environ, **stack.env(), "AGENT_NAME": server.agent_name},
        stdout=asyncio.subprocess.DEVNULL,
    )
    reader = Reader(pg)
    try:
        await reader.when(room, lambda rows: len(said(rows, "assistant")) == 2)
        at = time.time()
    finally:
        client.send_signal(signal.SIGKILL)
        await client.wait()
    rows = await reader.ended(room, timeout_s=60)
    _check(rows, "completed", "caller_hangup", at, within_s=40)
    assert b"Traceback" not in worker.log.read_bytes()[seen:]


async def _greeted(caller: Caller) -> None:
    await caller.join()
    await caller.agent_speaking()
    await caller.agent_quiet()


def _check(rows: Rows, status: str, end_reason: str, at: float, *, within_s: float = 5.0) -> None:
    assert (rows.call["status"], rows.call["end_reason"]) == (status, end_reason)
    ended_at = rows.call["ended_at"].timestamp()
    assert at - 0.1 <= ended_at < at + within_s, "when it ended, not when it was cleaned up"
    for leg in rows.participants:
        assert leg["left_at"] is not None
        assert leg["left_at"].timestamp() <= ended_at + 5


def _api(server: Server) -> api.LiveKitAPI:
    return api.LiveKitAPI(server.url, server.api_key, server.api_secret)
