"""Agents as people write them, in real rooms: what is stored of each is what happened."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from livekit import api

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.stack import Stack
from tests.rooms.adoption.conftest import VARIANTS, Starter, running_starter
from tests.rooms.rows import Reader
from tests.waiting import until

pytestmark = pytest.mark.room


@pytest.fixture(scope="module")
async def variants(
    stack: Stack, voice: Voice, adopted: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Starter]:
    """The worker with all of them."""
    place: Path = tmp_path_factory.mktemp("variants")
    (place / "agent.py").write_text(VARIANTS.read_text())
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name="variants")
    async with running_starter(stack, place, "variants", adopted) as worker:
        pg = await asyncpg.connect(adopted)
        try:
            yield Starter(worker, server, voice, pg)
        finally:
            await pg.close()


def room(which: str) -> str:
    """Return a name for a room of one of the agents."""
    return f"{which}-{uuid4().hex[:8]}"


async def _answered(caller: Caller, text: str) -> None:
    began = time.monotonic()
    await caller.speak(text)
    await caller.agent_speech(began + 0.5)
    await caller.agent_quiet()


async def test_turns_that_no_reply_follows_are_rows(variants: Starter) -> None:
    """An agent that waits for its name: each turn is one row, none of them cut."""
    name = room("wake")
    async with variants.greeted(name) as caller:
        await caller.speak("How is the weather?")
        await until(lambda: _heard(variants, name, 1), what="the first turn")
        await _answered(caller, "What is your name?")
    rows = await Reader(variants.pg).ended(name)
    weather, asked = (row for row in rows.messages if row["role"] == "user")
    assert "weather" in weather["content"]
    assert "your name" in asked["content"]
    assert (weather["metadata"], weather["interrupted"]) == ({"unanswered": True}, False)
    assert (asked["metadata"], asked["interrupted"]) == ({}, False)
    heard = {usage["message_id"] for usage in rows.usage if usage["kind"] == "stt"}
    assert {weather["id"], asked["id"]} <= heard
    assert rows.call["usage_complete"], rows.call["usage_gaps"]


@pytest.mark.parametrize("which", ["leaves", "deletes"])
async def test_a_tool_that_hangs_up_is_the_agents_hang_up(variants: Starter, which: str) -> None:
    """By `session.shutdown()` with `delete_room_on_close`, or by deleting the room."""
    name = room(which)
    async with variants.greeted(name) as caller:
        await caller.speak("Thank you, goodbye.")
        rows = await Reader(variants.pg).ended(name)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "agent_hangup")
    agent = next(leg for leg in rows.participants if leg["participant_type"] == "agent")
    assert agent["left_at"] >= rows.call["ended_at"]


async def test_models_of_the_agent_are_the_rows_models(variants: Starter) -> None:
    """The session has none; a realtime model on the agent is no gap in the ledger."""
    name = room("owns")
    async with variants.greeted(name) as caller:
        await _answered(caller, "What is your name?")
    rows = await Reader(variants.pg).ended(name)
    greeting, reply = (row for row in rows.messages if row["role"] == "assistant")
    assert (greeting["model_used"], reply["model_used"]) == ("gpt-4o-mini-tts", "gpt-realtime")
    (asked,) = (row for row in rows.messages if row["role"] == "user")
    (heard,) = (usage for usage in rows.usage if usage["kind"] == "stt")
    assert heard["message_id"] == asked["id"]
    assert rows.call["usage_complete"], rows.call["usage_gaps"]


async def test_a_reply_to_an_empty_room_was_not_heard_to_its_end(variants: Starter) -> None:
    """An agent that stays when its caller leaves says the rest to nobody."""
    name = room("stays")
    async with variants.joined(name, open_s=8) as caller:
        await caller.agent_speech(0.0, timeout_s=60)
        await caller.agent_quiet()
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
    rows = await Reader(variants.pg).ended(name, timeout_s=60)
    reply = [row for row in rows.messages if row["role"] == "assistant"][-1]
    assert reply["content"].endswith("a place to sleep.")
    assert (reply["interrupted"], reply["metadata"]) == (True, {"content": "written"})
    assert 0 < reply["audio_duration_ms"] < 2500, "of three and a half seconds"


async def test_what_is_said_over_the_greeting_is_a_row(variants: Starter) -> None:
    """LiveKit does not hear it, so that an echo is not heard either."""
    name = room("wordy")
    async with variants.joined(name) as caller:
        await caller.agent_speech(0.0, timeout_s=60)
        await caller.speak("What is your name?")
        await caller.agent_quiet()
    rows = await Reader(variants.pg).ended(name)
    (row,) = (row for row in rows.messages if row["role"] == "system")
    assert (row["content"], row["participant_identity"]) == ("", caller.identity)
    assert row["metadata"] == {"kind": "missed_speech", "cause": "echo_guard"}
    assert "missed" not in rows.call["transcript"]


async def _heard(variants: Starter, name: str, turns: int) -> bool:
    query = """
        select count(*) from voice_messages m join voice_calls c on c.id = m.call_id
        where c.room_name = $1 and m.role = 'user' and m.metadata ->> 'final' is null
    """
    return bool(await variants.pg.fetchval(query, name) >= turns)


async def test_a_deleted_dispatch_is_no_drain(variants: Starter) -> None:
    """LiveKit ends the job in the words of a drain; the caller stays."""
    name, server = room("plain"), variants.server
    async with variants.greeted(name):
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            (dispatch,) = await client.agent_dispatch.list_dispatch(name)
            await client.agent_dispatch.delete_dispatch(dispatch.id, name)
        rows = await Reader(variants.pg).ended(name)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "dispatch_deleted")
