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
from local.places import PROJECT
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.steps import check_end, greeted, livekit
from tests.rooms.worker import Worker

pytestmark = pytest.mark.room


@pytest.mark.usefixtures("worker")
async def test_the_caller_is_put_out_of_the_room(server: Server, pg: Connection) -> None:
    """Removed by the API: the call is over at once, without the grace for a rejoin."""
    room = f"removed-{uuid4().hex[:8]}"
    async with Caller(server, room=room) as caller:
        await greeted(caller)
        at = time.time()
        async with livekit(server) as client:
            who = api.RoomParticipantIdentity(room=room, identity=caller.identity)
            await client.room.remove_participant(who)
        rows = await Reader(pg).ended(room)
    check_end(rows, "completed", "room_closed", at)
    assert rows.participants[1]["disconnect_reason"] == "participant_removed"


@pytest.mark.usefixtures("worker")
async def test_the_room_is_deleted_in_mid_sentence(server: Server, pg: Connection) -> None:
    """What was typed and what was said until then is kept."""
    room = f"deleted-{uuid4().hex[:8]}"
    async with Caller(server, room=room) as caller:
        await greeted(caller)
        began = time.monotonic()
        await caller.type("Tell me a story, please.")
        await caller.agent_speech(began)
        at = time.time()
        await server.delete_room(room)
        rows = await Reader(pg).ended(room)
    check_end(rows, "completed", "room_closed", at)
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
    check_end(rows, "completed", "caller_hangup", at, within_s=40)
    assert b"Traceback" not in worker.log.read_bytes()[seen:]
