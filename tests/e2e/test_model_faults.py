"""Models that fail, stall or answer with nonsense, in real rooms: the caller never meets silence.

One worker takes all these calls, so that each shows that it lived through the one before.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import openai
import pytest
from livekit import api

from local.caller import Caller, Server, Voice
from local.caller.sound import Sound
from local.demo.rows import Row, Rows
from local.stack import Stack
from tests.e2e.rows import Reader, said
from tests.e2e.worker import Worker
from tests.local.ai_control import control_url, set_script
from tests.local.servers import ai_server
from tests.postgres import Connection, database
from tests.waiting import until

pytestmark = pytest.mark.room

FALLBACK = "I am sorry, I did not get that. Could you say it again, please?"
ERROR = "I am sorry, there is a technical problem. Please call again later."
TIMEOUT_S = 2.0
QUESTION = "I have a question about my order."

SCRIPT = {
    "tts": "tone",
    "stt": ["the first question", "the second question", "the third question"],
    "rules": [
        {"match": "first", "reply": "This is the first answer."},
        {"match": "second", "reply": "This is the second answer."},
    ],
    "default": {"reply": "This is the third answer."},
}
IN_FIRST_TURN: dict[str, dict[str, Any]] = {
    "stt fails": {"on": "stt", "do": "fail", "when": "first 2"},
    "stt stalls": {"on": "stt", "do": "stall", "when": "first 2"},
    "stt hears nothing": {"on": "stt", "do": "empty", "when": "first 1"},
    "llm fails": {"on": "llm", "do": "fail", "match": "first"},
    "llm stalls": {"on": "llm", "do": "stall", "match": "first"},
    "llm stops": {"on": "llm", "do": "stall", "after": 2, "match": "first"},
    "llm is cut": {"on": "llm", "do": "cut", "after": 2, "match": "first"},
    "llm says nothing": {"on": "llm", "do": "empty", "match": "first"},
    "llm calls no such tool": {"on": "llm", "do": "unknown_tool", "match": "first"},
    "tts fails": {"on": "tts", "do": "fail", "match": "first"},
    "tts stalls": {"on": "tts", "do": "stall", "match": "first"},
    "tts gives no audio": {"on": "tts", "do": "empty", "match": "first"},
}


@dataclass(frozen=True)
class Desk:
    """A worker at the end of a line, and what is needed to call it and to look at it."""

    worker: Worker
    server: Server
    models: openai.AsyncOpenAI
    voice: Voice
    question: Sound
    pg: Connection

    async def faults(self, *faults: dict[str, Any]) -> None:
        """Put the script in force, with these faults."""
        await set_script(self.models, SCRIPT | {"faults": faults})

    async def stt_requests(self) -> int:
        """Return how many utterances the speech model was given so far."""
        address = control_url(self.models, "requests")
        answer: Any = await self.models.get(address, cast_to=object)
        return sum(request["on"] == "stt" for request in answer["requests"])

    def caller(self, room: str) -> Caller:
        """Return somebody who is about to call."""
        return Caller(self.server, room=room, voice=self.voice)

    def log(self, since: int) -> list[dict[str, Any]]:
        """Return the worker's lines from this length on."""
        return [json.loads(line) for line in self.worker.log.read_bytes()[since:].splitlines()]

    def log_size(self) -> int:
        """Return how long the log is."""
        return self.worker.log.stat().st_size


@pytest.fixture(scope="module")
async def desk(
    stack: Stack,
    postgres_server: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Desk]:
    """The desk, its messages rendered."""
    directory: Path = tmp_path_factory.mktemp("desk")
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name="desk")
    async with (
        database(postgres_server, template=migrated_template) as url,
        ai_server(directory, {}) as models,
        Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice,
    ):
        worker = Worker(
            stack,
            directory,
            url,
            name="desk",
            OPENAI_BASE_URL=str(models.base_url),
            AGENT_MODEL_TIMEOUT_S=str(TIMEOUT_S),
            AGENT_REJOIN_GRACE_S="0.5",
            AGENT_SPEECH_CACHE_DIR=str(directory / "speech"),
        )
        await worker.start()
        pg = await asyncpg.connect(url)
        try:
            await until(lambda: b"messages rendered ahead" in worker.log.read_bytes())
            yield Desk(worker, server, models, voice, await voice.speak(QUESTION), pg)
        finally:
            await pg.close()
            await worker.stop()


@pytest.mark.parametrize("name", IN_FIRST_TURN)
async def test_a_turn_that_fails_is_asked_again(desk: Desk, name: str) -> None:
    """The caller hears the fallback message, says it again, and is answered."""
    room, began = f"fault-{uuid4().hex[:8]}", desk.log_size()
    await desk.faults(IN_FIRST_TURN[name])
    async with desk.caller(room) as caller:
        await _greeted(caller)
        spoken = await caller.speak(desk.question)
        assert spoken.ended_at is not None
        await _until_said(desk, room, FALLBACK)
        heard = await caller.heard(spoken.ended_at)
        await caller.speak(desk.question)
        await _until_said(desk, room, "answer")
    rows = await Reader(desk.pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "caller_hangup")
    assert "say it again" in heard.lower()
    apology = _apology(rows)
    part = name.split(maxsplit=1)[0]
    assert apology["metadata"]["cause"].startswith(part), apology["metadata"]
    assert apology["model_used"]
    assert said(rows, "assistant").count(FALLBACK) == 1
    told = [line for line in desk.log(began) if line["message"].endswith("caller asked again")]
    assert [line["part"] for line in told if "part" in line] in ([part], [])
    assert len(told) == 1


async def test_arguments_that_are_no_json(desk: Desk) -> None:
    """LiveKit mends them: the tool is called, and the caller hears its words."""
    room = f"json-{uuid4().hex[:8]}"
    await desk.faults({"on": "llm", "do": "bad_arguments", "match": "first"})
    async with desk.caller(room) as caller:
        await _greeted(caller)
        spoken = await caller.speak(desk.question)
        assert spoken.ended_at is not None
        await caller.agent_speech(spoken.ended_at)
        rows = await Reader(desk.pg).ended(room)
    assert rows.call["end_reason"] == "agent_hangup"
    assert said(rows, "assistant")[-1] == "Goodbye!"


@pytest.mark.parametrize("on", ["stt", "llm", "tts"])
@pytest.mark.parametrize("do", ["fail", "stall"])
async def test_models_that_go_on_failing_end_the_call(desk: Desk, on: str, do: str) -> None:
    """Asked again once, then told, and nobody is left in the room."""
    room, began = f"down-{uuid4().hex[:8]}", desk.log_size()
    await desk.faults({"on": on, "do": do})
    async with desk.caller(room) as caller:
        await _greeted(caller)
        await caller.speak(desk.question)
        await _until_said(desk, room, FALLBACK)
        second = await caller.speak(desk.question)
        assert second.ended_at is not None
        rows = await Reader(desk.pg).ended(room)
        await until(lambda: closed(desk.server, room), what="the room to be closed")
        heard = await caller.heard(second.ended_at)
    assert "technical problem" in heard.lower()
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "error")
    assert rows.call["metadata"]["end"]["error"].startswith(on)
    assert said(rows, "assistant")[-1] == ERROR
    ends = [line for line in desk.log(began) if line["message"] == "models fail, call ends"]
    assert [line["part"] for line in ends] == [on]


async def test_nothing_heard_twice_is_no_reason_to_end(desk: Desk) -> None:
    """Whoever coughs or has a radio on is asked once, not each time."""
    room = f"cough-{uuid4().hex[:8]}"
    await desk.faults({"on": "stt", "do": "empty", "when": "first 2"})
    async with desk.caller(room) as caller:
        await _greeted(caller)
        await caller.speak(desk.question)
        await _until_said(desk, room, FALLBACK)
        heard = await desk.stt_requests()
        await caller.speak(desk.question)
        await until(lambda: _more_than(desk, heard), what="the second one to be heard")
        await caller.speak(desk.question)
        await _until_said(desk, room, "answer")
    rows = await Reader(desk.pg).ended(room)
    assert rows.call["end_reason"] == "caller_hangup"
    assert said(rows, "assistant").count(FALLBACK) == 1


async def test_a_slow_model_is_waited_for(desk: Desk) -> None:
    """Within the time-out nobody apologises."""
    room = f"slow-{uuid4().hex[:8]}"
    slow = {"do": "slow", "delay_s": TIMEOUT_S * 0.6}
    await desk.faults({"on": "llm"} | slow, {"on": "tts"} | slow, {"on": "stt"} | slow)
    async with desk.caller(room) as caller:
        await _greeted(caller)
        await caller.speak(desk.question)
        await _until_said(desk, room, "answer")
    rows = await Reader(desk.pg).ended(room)
    assert FALLBACK not in said(rows, "assistant")


async def _greeted(caller: Caller) -> None:
    await caller.join()
    await caller.agent_speaking()
    await caller.agent_quiet()


async def _until_said(desk: Desk, room: str, text: str) -> Rows:
    """Wait until it was said to its end."""
    return await Reader(desk.pg).when(
        room, lambda rows: any(text in spoken for spoken in _spoken(rows)), what=repr(text)
    )


def _spoken(rows: Rows) -> list[str]:
    return [
        row["content"]
        for row in rows.messages
        if row["role"] == "assistant" and row["metadata"].get("final") is not False
    ]


def _apology(rows: Rows) -> Row:
    (found,) = (row for row in rows.messages if row["metadata"].get("kind") == "fallback")
    assert found["content"] == FALLBACK
    return found


async def _more_than(desk: Desk, count: int) -> bool:
    return await desk.stt_requests() > count


async def closed(server: Server, room: str) -> bool:
    """Tell whether the room is gone."""
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
        found = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
    return not found.rooms
