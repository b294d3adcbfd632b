"""Silence and the longest duration end a call, after words that say so; in real rooms."""

import json
import time
from pathlib import Path
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Rows
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.personas import copy_agent
from tests.rooms.rows import Reader, said
from tests.rooms.stack import SCRIPT
from tests.rooms.steps import is_closed
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import set_script
from tests.waiting import until

pytestmark = pytest.mark.room

GREETING = "Hello! How can I help you today?"
ASKED = "Are you still there?"
NEAR = "We have to come to an end soon."
GOODBYE = "Thank you for your call. Goodbye!"
NAME = "My name is Robin. What is yours?"
FOUND = "It is on its way to you."

SLOW_TOOL = '''
    @function_tool()
    async def look_up(self, context: RunContext[None]) -> str:
        """Look it up, slowly."""
        import asyncio

        await asyncio.sleep(5)
        return "on its way"
'''
SLOW_RULE = {
    "match": "look it up",
    "tool_call": {"name": "look_up", "arguments": {}},
    "after_tool": FOUND,
}


async def test_silence(  # noqa: PLR0913, PLR0917 - the fixtures of a whole stack
    stack: Stack, server: Server, voice: Voice, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """Asked once and answered, by voice and by text, it goes on; not answered, it ends."""
    room = f"silence-{uuid4().hex[:8]}"
    worker = Worker(
        stack, tmp_path, database_url, name=server.agent_name, AGENT_SILENCE_TIMEOUT_S="3"
    )
    reader = Reader(pg)
    await worker.start()
    try:
        async with Caller(server, room=room, voice=voice) as caller:
            answer = await caller.prepare("What is your name?")
            await caller.join()
            await _heard(caller)
            await _heard(caller)
            await caller.speak(answer)
            await _heard(caller)
            await _heard(caller)
            await caller.type("What is your name?")
            await _heard(caller)
            rows = await reader.ended(room, timeout_s=60)
            await until(lambda: is_closed(server, room), what="the room to be closed")
    finally:
        await worker.stop()
    expected = [GREETING, ASKED, NAME, ASKED, NAME, ASKED, GOODBYE]
    assert said(rows, "assistant") == expected
    _check_end(rows, "silence")
    times = [message["timestamp"].timestamp() for message in rows.messages]
    assert times[-1] - times[-2] > 3, "asked, and as long again"


async def test_no_silence_while_a_tool_works_or_another_caller_types(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """A tool that takes longer than the silence is waited for; anybody's words count."""
    room = f"busy-{uuid4().hex[:8]}"
    copy_agent(tmp_path, SLOW_TOOL)
    worker = Worker(
        stack, tmp_path, database_url, name=server.agent_name, AGENT_SILENCE_TIMEOUT_S="2"
    )
    script = json.loads(SCRIPT.read_text())
    models = AsyncOpenAI(base_url=stack.openai_base_url, api_key=stack.openai_api_key)
    await worker.start()
    try:
        await set_script(models, script | {"rules": [SLOW_RULE, *script["rules"]]})
        async with (
            Caller(server, room=room) as caller,
            Caller(server, room=room, identity="second") as second,
        ):
            await caller.join()
            await second.join(create=False)
            await caller.agent_speaking()
            await caller.type("Look it up, please.")
            await _heard(caller)
            await _heard(caller)
            await second.type("What is your name?")
            rows = await Reader(pg).ended(room, timeout_s=60)
    finally:
        await set_script(models, script)
        await models.close()
        await worker.stop()
    greeting, *later = said(rows, "assistant")
    assert GREETING.startswith(greeting)
    assert later == [FOUND, ASKED, NAME, ASKED, GOODBYE]
    _check_end(rows, "silence")


async def test_longest_duration(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """A warning, then the goodbye, over a story that goes on; a rejoin gives no more time."""
    room = f"duration-{uuid4().hex[:8]}"
    limits = {
        "AGENT_MAX_DURATION_S": "10",
        "AGENT_MAX_DURATION_WARNING_S": "6",
        "AGENT_REJOIN_GRACE_S": "3",
    }
    worker = Worker(stack, tmp_path, database_url, name=server.agent_name, **limits)
    reader = Reader(pg)
    await worker.start()
    try:
        async with Caller(server, room=room) as caller:
            await caller.join()
            await _heard(caller)
            await caller.rejoin()
            await _heard(caller)
            await caller.type("Tell me a story, please.")
            rows = await reader.ended(room, timeout_s=60)
            await until(lambda: is_closed(server, room), what="the room to be closed")
    finally:
        await worker.stop()
    greeting, near, story, goodbye = said(rows, "assistant")
    assert (greeting, near, goodbye) == (GREETING, NEAR, GOODBYE)
    assert story.startswith("Once upon a time")
    assert [message["interrupted"] for message in rows.messages][-2:] == [True, False]
    _check_end(rows, "max_duration")
    assert 10 < rows.call["duration_seconds"] < 18


def _check_end(rows: Rows, end_reason: str) -> None:
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", end_reason)
    assert all(leg["left_at"] is not None for leg in rows.participants)


async def _heard(caller: Caller) -> None:
    """Wait for the next thing the agent says, to its end."""
    await caller.agent_speech(time.monotonic())
    await caller.agent_quiet(0.5)
