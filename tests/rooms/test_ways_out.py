"""Ways in which a call ends that want a worker of their own, each in a real room."""

import json
import time
from pathlib import Path
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from local.caller import Caller, Server
from local.demo.rows import Rows
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.personas import copy_agent
from tests.rooms.rows import Reader, said
from tests.rooms.stack import SCRIPT
from tests.rooms.steps import check_end, greeted, is_closed
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import set_script
from tests.waiting import until

pytestmark = pytest.mark.room

FULL_DISK = """

import errno, multiprocessing, os

_open = os.open

def _open_on_a_full_disk(path, *args, **options):
    if multiprocessing.parent_process() is not None and str(path).endswith(".events.new"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return _open(path, *args, **options)

os.open = _open_on_a_full_disk
"""
LEAVING_TOOLS = '''
    @function_tool()
    async def leave(self, context: RunContext[None]) -> None:
        """Leave in LiveKit's own way."""
        from livekit.agents import get_job_context

        get_job_context().shutdown("the tool wants it")

    @function_tool()
    async def close(self, context: RunContext[None]) -> None:
        """Close the session by hand."""
        import asyncio

        self.closing = asyncio.create_task(context.session.aclose())
'''
RULES = [
    {"match": "leave us", "tool_call": {"name": "leave", "arguments": {}}},
    {"match": "close it", "tool_call": {"name": "close", "arguments": {}}},
]


async def test_nobody_comes(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """The call ends when the wait for a caller is over, and so does its job."""
    room = f"nobody-{uuid4().hex[:8]}"
    worker = Worker(
        stack, tmp_path, database_url, name=server.agent_name, AGENT_NO_CALLER_TIMEOUT_S="1"
    )
    await worker.start()
    try:
        await server.create_room(room)
        rows = await Reader(pg).ended(room)
        late = time.time() - rows.call["ended_at"].timestamp()
    finally:
        await worker.stop()
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "no_caller")
    assert rows.call["connected_at"] is None
    assert said(rows, "assistant") == []
    (leg,) = rows.participants
    assert (leg["participant_type"], leg["participant_name"]) == ("agent", server.agent_name)
    assert late < 10, "LiveKit cuts an entrypoint that does not return after 15 s"


async def test_the_worker_is_drained_for_too_long(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """A call that goes on at the drain's deadline is cut, and says so."""
    room = f"drained-{uuid4().hex[:8]}"
    worker = Worker(
        stack, tmp_path, database_url, name=server.agent_name, AGENT_DRAIN_TIMEOUT_S="1"
    )
    await worker.start()
    async with Caller(server, room=room) as caller:
        await greeted(caller)
        at = time.time()
        assert await worker.stop() == 0
        rows = await Reader(pg).ended(room)
    check_end(rows, "failed", "drained", at)


async def test_a_tool_ends_the_job_or_the_session(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """LiveKit's own `ctx.shutdown()` and `session.aclose()` are the agent's hang-up."""
    copy_agent(tmp_path, LEAVING_TOOLS)
    worker = Worker(stack, tmp_path, database_url, name=server.agent_name)
    script = json.loads(SCRIPT.read_text())
    models = AsyncOpenAI(base_url=stack.openai_base_url, api_key=stack.openai_api_key)
    await worker.start()
    try:
        await set_script(models, script | {"rules": [*RULES, *script["rules"]]})
        left = await _hung_up_on(server, pg, "Please leave us.")
        closed = await _hung_up_on(server, pg, "Please close it.")
    finally:
        await set_script(models, script)
        await models.close()
        await worker.stop()
    assert left.call["metadata"]["end"] == {"shutdown_reason": "the tool wants it"}
    assert "end" not in closed.call["metadata"]


async def _hung_up_on(server: Server, pg: Connection, words: str) -> Rows:
    room = f"left-{uuid4().hex[:8]}"
    async with Caller(server, room=room) as caller:
        await greeted(caller)
        at = time.time()
        await caller.type(words)
        rows = await Reader(pg).ended(room)
        await until(lambda: is_closed(server, room), what="the room to be closed")
    check_end(rows, "completed", "agent_hangup", at)
    return rows


async def test_a_call_that_can_not_be_recorded_is_turned_away(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """The disk takes no file: nobody is left in a silent room, and the row says what happened."""
    room = f"unrecorded-{uuid4().hex[:8]}"
    copy_agent(tmp_path, FULL_DISK)
    worker = Worker(stack, tmp_path, database_url, name=server.agent_name)
    await worker.start()
    try:
        async with Caller(server, room=room) as caller:
            await caller.join()
            rows = await Reader(pg).ended(room, timeout_s=60)
            await until(lambda: is_closed(server, room), what="the room to be closed", timeout_s=60)
    finally:
        await worker.stop()
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "worker_crashed")
    lines = worker.log.read_text().splitlines()
    assert sum("call can't be recorded, it is turned away" in line for line in lines) == 1
    assert sum("Traceback" in line for line in lines) == 0
