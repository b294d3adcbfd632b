"""A realtime model in place of the three, by one setting, in real rooms."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Rows
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.worker import Worker

pytestmark = pytest.mark.room

MODEL = "gpt-realtime"


@pytest.fixture(params=["tts", "model"])
async def speaker(
    request: pytest.FixtureRequest,
    stack: Stack,
    server: Server,
    database_url: str,
    tmp_path: Path,
) -> AsyncIterator[str]:
    """Who says the greeting to calls of a worker with a realtime model."""
    who: str = request.param
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=server.agent_name,
        AGENT_REALTIME_MODEL=MODEL,
        AGENT_REALTIME_SAY=who,
        AGENT_TURN_DETECTION="",
    )
    await worker.start()
    yield who
    await asyncio.shield(worker.stop())


async def test_both_sides_are_recorded(
    speaker: str, server: Server, voice: Voice, pg: Connection
) -> None:
    """Turns of both sides, an interruption, a function call, and what it all came to."""
    room = f"realtime-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await caller.join()
        await caller.agent_speaking()
        await caller.agent_quiet()
        await _ask(caller, "What is your name?")
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
        await asyncio.wait_for(_ask(caller, "Stop, that is enough for now."), 60)
        await caller.speak("Thank you, goodbye.")
        rows = await Reader(pg).ended(room, timeout_s=60)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "agent_hangup")
    _check_turns(rows, speaker)
    _check_usage(rows)


@pytest.fixture
async def lost(
    stack: Stack, server: Server, database_url: str, tmp_path: Path
) -> AsyncIterator[Worker]:
    """A worker whose realtime model is away."""
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=server.agent_name,
        AGENT_REALTIME_MODEL=MODEL,
        AGENT_REALTIME_BASE_URL="http://127.0.0.1:9/v1",
        AGENT_REALTIME_API_KEY="any",
        AGENT_TURN_DETECTION="",
    )
    await worker.start()
    yield worker
    await asyncio.shield(worker.stop())


@pytest.mark.usefixtures("lost")
async def test_a_model_that_is_away_is_told_to_the_caller(
    server: Server, voice: Voice, pg: Connection
) -> None:
    """LiveKit would close the session at once: silence, and at times without the close event."""
    room = f"realtime-away-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await caller.join()
        await caller.agent_speaking()
        rows = await Reader(pg).ended(room, timeout_s=60)
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "error")
    assert "realtime_model" in rows.call["metadata"]["end"]["error"]
    assert "technical problem" in said(rows, "assistant")[-1]


async def _ask(caller: Caller, text: str) -> None:
    began = time.monotonic()
    await caller.speak(text)
    await caller.agent_speech(began + 0.5)
    await caller.agent_quiet()


def _check_turns(rows: Rows, speaker: str) -> None:
    name, story, stop, bye = said(rows, "user")
    assert "name" in name.lower()
    assert "story" in story.lower()
    assert "enough" in stop.lower()
    assert "bye" in bye.lower()
    greeting, *replies, farewell = (row for row in rows.messages if row["role"] == "assistant")
    fixed = [greeting["content"], farewell["content"]]
    if speaker == "tts":
        assert fixed == ["Hello! How can I help you today?", "Goodbye!"]
        assert greeting["model_used"] == farewell["model_used"] == "gpt-4o-mini-tts"
    else:
        assert all(fixed)
        assert greeting["model_used"] == farewell["model_used"] == MODEL
    assert replies[0]["content"] == "My name is Robin. What is yours?"
    assert replies[1]["content"].startswith("Once")
    assert [row["content"] for row in replies if row["interrupted"]] == [replies[1]["content"]]
    heard, generated = replies[1]["content"].split(), replies[1]["generated_content"].split()
    assert len(heard) < len(generated)
    assert generated[: len(heard) - 1] == heard[:-1]  # it may be cut within a word
    assert [row["generated_content"] for row in (*replies[:1], *replies[2:])] == [None] * (
        len(replies) - 1
    )
    assert len(rows.call["transcript"].splitlines()) == 4 + 2 + len(replies)
    tools = [row["metadata"]["name"] for row in rows.messages if row["role"] == "system"]
    assert tools == ["end_call"]
    for row in rows.messages:
        assert row["metadata"].get("final") is not False, row
        if row in replies:
            assert row["model_used"] == MODEL
            assert row["speech_started_at"] < row["speech_ended_at"], row


def _check_usage(rows: Rows) -> None:
    requests = [row for row in rows.usage if row["kind"] == "realtime"]
    assert {row["model"] for row in requests} == {MODEL}
    assert len(requests) >= 4
    assert sum(row["cancelled"] for row in requests) == 1
    assert all(row["total_tokens"] > 0 for row in requests)
    # Each response is its message's; those at the call's end led to none.
    spoken = {row["id"] for row in rows.messages if row["role"] == "assistant"}
    assert {row["message_id"] for row in requests} <= {*spoken, None}
    assert all(row["message_id"] for row in requests[:-2])
    assert any(row["output_audio_tokens"] for row in requests)
    transcribed = [row for row in rows.usage if row["kind"] == "stt"]
    assert [row["message_id"] for row in transcribed] == [
        row["id"] for row in rows.messages if row["role"] == "user"
    ]
    assert not [row for row in rows.usage if row["kind"] == "llm"]
