"""Models that fail, stall or answer with nonsense, in real rooms: the caller never meets silence.

Each call meets several faults, one after the other, and the last one for good; calls run at once.
What was typed or is to be spoken names the fault, so that one script does for all. Speech to text
knows no words before it has answered: its calls speak, one after the other.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import openai
import pytest

from local.caller import Caller, Server, Voice
from local.caller.sound import Sound
from local.demo.rows import Row, Rows
from local.stack import Stack
from tests.postgres.server import Connection, database
from tests.rooms.rows import Reader, said
from tests.rooms.steps import is_closed
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import control_url, set_script
from tests.unit.local.servers import ai_server
from tests.waiting import until

pytestmark = pytest.mark.room

FALLBACK = "I am sorry, I did not get that. Could you say it again, please?"
ERROR = "I am sorry, there is a technical problem. Please call again later."
ANSWER = "This is the answer."
AGAIN = "Once more, please."
TIMEOUT_S = 3.0  # with two cores and six calls at once, two seconds pass for nothing
LONGEST_WAIT_S = 60.0
AT_ONCE = 4
QUESTION = "I have a question about my order."

SLOW = {"do": "slow", "delay_s": TIMEOUT_S * 0.6}
FAULTS: dict[str, dict[str, Any]] = {
    "llm fails": {"do": "fail"},
    "llm stalls": {"do": "stall"},
    "llm stops": {"do": "stall", "after": 2},
    "llm is cut": {"do": "cut", "after": 2},
    "llm says nothing": {"do": "empty"},
    "llm calls no such tool": {"do": "unknown_tool"},
    "llm calls with no json": {"do": "bad_arguments"},
    "llm is slow": SLOW,
    "tts fails": {"do": "fail"},
    "tts stalls": {"do": "stall"},
    "tts gives no audio": {"do": "empty"},
    "tts is slow": SLOW,
}
"""What a caller types (llm) or gets for an answer (tts), and what that does."""

SCRIPT = {
    "tts": "tone",
    "stt": ["the question"] * 20,
    "rules": [{"match": name, "reply": name} for name in FAULTS],
    "default": {"reply": ANSWER},
}
MATCHED = [{"on": name[:3], "match": name} | fault for name, fault in FAULTS.items()]
FAILS_TO_HEAR: Sequence[dict[str, Any]] = (
    {"on": "stt", "do": "fail", "when": "first 2"},
    {"on": "stt", "do": "empty", "when": "only 4"},
    {"on": "stt", "do": "empty", "when": "only 5"},
    {"on": "stt", "when": "only 6"} | SLOW,
    {"on": "stt", "do": "fail", "when": "from 7"},
)
STALLS_TO_HEAR: Sequence[dict[str, Any]] = (
    {"on": "stt", "do": "stall", "when": "first 2"},
    {"on": "stt", "do": "stall", "when": "from 4"},
)
"""By requests: each is made twice before it has failed."""


@dataclass(frozen=True)
class Desk:
    """A worker at the end of a line, and what is needed to call it and to look at it."""

    worker: Worker
    server: Server
    models: openai.AsyncOpenAI
    voice: Voice
    question: Sound
    database_url: str

    async def hear_with(self, faults: Sequence[dict[str, Any]]) -> None:
        """Have speech to text meet these faults; those of the other models stay as they are."""
        await set_script(self.models, SCRIPT | {"faults": [*MATCHED, *faults]})

    async def stt_requests(self) -> int:
        """Return how many utterances the speech model was given so far."""
        address = control_url(self.models, "requests")
        answer: Any = await self.models.get(address, cast_to=object)
        return sum(request["on"] == "stt" for request in answer["requests"])

    @asynccontextmanager
    async def call(self, name: str, *, spoken: bool = False) -> "AsyncIterator[Talk]":
        """Call, and hear the greeting; the connection to the rows outlives the call."""
        # The x: eight digits alone are masked in the log like a phone number.
        room = f"{name}-x{uuid4().hex[:8]}"
        pg = await asyncpg.connect(self.database_url)
        try:
            async with Caller(self.server, room=room, voice=self.voice) as caller:
                began = await _greeted(caller)
                yield Talk(self, caller, Reader(pg), began, spoken=spoken)
        finally:
            await pg.close()

    def parts(self, room: str, message: str) -> list[str]:
        """Return the parts that the worker's lines about a room name in this message."""
        lines = [json.loads(line) for line in self.worker.log.read_bytes().splitlines()]
        return [
            line["part"]
            for line in lines
            if line.get("room") == room and line["message"] == message
        ]


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
            AGENT_AEC_WARMUP_S="3",  # each fault is for one utterance, and none of the greeting's
            AGENT_SPEECH_CACHE_DIR=str(directory / "speech"),
        )
        await worker.start()
        try:
            await until(lambda: b"messages rendered ahead" in worker.log.read_bytes())
            desk = Desk(worker, server, models, voice, await voice.speak(QUESTION), url)
            await desk.hear_with(())
            yield desk
        finally:
            await worker.stop()


class Talk:
    """One call, and how many faults and answers it had so far."""

    def __init__(
        self, desk: Desk, caller: Caller, reader: Reader, began: float, *, spoken: bool
    ) -> None:
        self.caller = caller
        self.room = caller.room_name
        self._desk = desk
        self._reader = reader
        self._began = began
        self._spoken = spoken
        self._faults = 0
        self._answers = 0

    async def say(self, text: str) -> None:
        """Say something, or type it."""
        if self._spoken:
            await self.caller.speak(self._desk.question)
        else:
            await self.caller.type(text)

    async def answered(self, text: str = AGAIN, answer: str = ANSWER) -> None:
        """Say something that is answered."""
        await self.say(text)
        self._answers += answer == ANSWER
        await self._until(answer, self._answers if answer == ANSWER else 1)

    async def fails(self, fault: str) -> None:
        """Say something that goes wrong, and hear so."""
        await self.say(fault)
        self._faults += 1
        await self._until(FALLBACK, self._faults)

    async def recovers(self, *faults: str) -> None:
        """Meet each fault once, say it again, and be answered."""
        for fault in faults:
            await self.fails(fault)
            await self.answered()

    async def ends(self, fault: str) -> Rows:
        """Meet a fault twice, and be told so; nobody is left in the room."""
        await self.fails(fault)
        await self.say(fault)
        rows = await self.over()
        await until(lambda: is_closed(self._desk.server, self.room), what="the room to be closed")
        return rows

    async def over(self) -> Rows:
        """Wait for the end."""
        return await self._reader.ended(self.room, timeout_s=LONGEST_WAIT_S)

    async def heard(self) -> str:
        """Transcribe what the agent said in all."""
        return await self.caller.heard(self._began)

    async def _until(self, text: str, count: int) -> None:
        """Wait until it was said to its end, so many times."""
        await self._reader.when(
            self.room,
            lambda rows: _spoken(rows).count(text) >= count,
            timeout_s=LONGEST_WAIT_S,
            what=f"{text!r} for the {count}. time",
        )


async def test_the_caller_never_meets_silence(desk: Desk) -> None:
    """A turn that fails is asked again; two in a row end the call, after words that say so."""
    await _together(
        _call(desk, "llm fails", "llm fails", "llm stalls", "llm stops"),
        _call(desk, "llm stalls", "llm is cut", "llm says nothing", "llm calls no such tool"),
        _call(desk, "tts fails", "tts fails", "tts gives no audio"),
        _call(desk, "tts stalls", "tts stalls"),
        _slow(desk),
        _no_json(desk),
    )
    await _hearing(desk)  # alone: beside others an empty answer may be late, which is a stall


async def _call(desk: Desk, last: str, *faults: str) -> None:
    """Type; be answered after each fault but the last one, which stays."""
    async with desk.call("fault") as talk:
        await talk.recovers(*faults)
        rows = await talk.ends(last)
        heard = await talk.heard()
    _check(desk, rows, heard, [fault[:3] for fault in (*faults, last)])


async def _hearing(desk: Desk) -> None:
    """Speak; first what is not heard, then what is waited for in vain."""
    await desk.hear_with(FAILS_TO_HEAR)
    async with desk.call("fails-to-hear", spoken=True) as talk:
        await talk.recovers("stt fails")
        await talk.fails("stt hears nothing")
        heard_before = await desk.stt_requests()
        await talk.say("stt hears nothing")  # whoever has a radio on is asked once
        await until(lambda: _more_than(desk, heard_before), what="the second one to be heard")
        await talk.answered("stt is slow")
        rows = await talk.ends("stt fails")
        heard = await talk.heard()
    _check(desk, rows, heard, ["stt", "stt", "stt"], unheard=1)
    await desk.hear_with(STALLS_TO_HEAR)
    async with desk.call("stalls-to-hear", spoken=True) as talk:
        await talk.recovers("stt stalls")
        rows = await talk.ends("stt stalls")
        heard = await talk.heard()
    _check(desk, rows, heard, ["stt", "stt"])


async def _slow(desk: Desk) -> None:
    """Within the time-out nobody apologises."""
    async with desk.call("slow") as talk:
        await talk.answered("llm is slow", "llm is slow")
        await talk.answered("tts is slow", "tts is slow")
        await talk.caller.hang_up()
        rows = await talk.over()
    assert rows.call["end_reason"] == "caller_hangup"
    assert FALLBACK not in said(rows, "assistant")


async def _no_json(desk: Desk) -> None:
    """LiveKit mends such arguments: the tool is called, and the caller hears its words."""
    async with desk.call("json") as talk:
        await talk.say("llm calls with no json")
        rows = await talk.over()
    assert rows.call["end_reason"] == "agent_hangup"
    assert said(rows, "assistant")[-1] == "Goodbye!"


def _check(desk: Desk, rows: Rows, heard: str, parts: list[str], unheard: int = 0) -> None:
    """Check what was said, recorded and logged of a call that failed in these parts."""
    room = rows.call["session_id"]
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "error")
    assert rows.call["metadata"]["end"]["error"].startswith(parts[-1])
    assert "say it again" in heard.lower()
    assert "technical problem" in heard.lower()
    assert said(rows, "assistant")[-1] == ERROR
    apologies = _apologies(rows)
    assert [row["metadata"]["cause"][:3] for row in apologies] == parts
    assert all(row["content"] == FALLBACK and row["model_used"] for row in apologies)
    told = desk.parts(room, "a model failed, caller asked again")
    assert told == parts[unheard:]
    assert desk.parts(room, "models fail, call ends") == parts[-1:]


async def test_a_realtime_model_that_stalls_and_has_the_only_voice(
    desk: Desk, stack: Stack, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """Nothing can be said any more: the call ends, and nobody waits for words."""
    room, name = f"mute-{uuid4().hex[:8]}", "mute"
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=name)
    await set_script(
        desk.models, SCRIPT | {"faults": [{"on": "realtime", "do": "stall", "match": "question"}]}
    )
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=name,
        OPENAI_BASE_URL=str(desk.models.base_url),
        AGENT_MODEL_TIMEOUT_S=str(TIMEOUT_S),
        AGENT_REALTIME_MODEL="gpt-realtime",
        AGENT_REALTIME_SAY="model",
    )
    await worker.start()
    try:
        async with Caller(server, room=room) as caller:
            await _greeted(caller)
            await caller.type("I have a question.")
            rows = await Reader(pg).ended(room, timeout_s=LONGEST_WAIT_S)
            await until(lambda: is_closed(server, room), what="the room to be closed")
    finally:
        await worker.stop()
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "error")
    assert rows.call["metadata"]["end"]["error"].startswith("realtime_model")
    asked = next(row["timestamp"] for row in rows.messages if row["role"] == "user")
    assert (rows.call["ended_at"] - asked).total_seconds() < 2 * TIMEOUT_S + 8


async def _together(*calls: Coroutine[Any, Any, None]) -> None:
    """Make all calls, some at once, and then tell of all that failed."""
    line = asyncio.Semaphore(AT_ONCE)

    async def one(call: Coroutine[Any, Any, None]) -> None:
        async with line:
            await call

    found = await asyncio.gather(*map(one, calls), return_exceptions=True)
    failed = [each for each in found if isinstance(each, Exception)]
    if failed:
        raise ExceptionGroup("calls that went wrong", failed)


async def _greeted(caller: Caller) -> float:
    """Join, and hear the greeting; return when it began."""
    await caller.join()
    began = await caller.agent_speaking(timeout_s=LONGEST_WAIT_S)
    await caller.agent_quiet()
    return began


def _spoken(rows: Rows) -> list[str]:
    return [
        row["content"].strip()
        for row in rows.messages
        if row["role"] == "assistant" and row["metadata"].get("final") is not False
    ]


def _apologies(rows: Rows) -> list[Row]:
    return [row for row in rows.messages if row["metadata"].get("kind") == "fallback"]


async def _more_than(desk: Desk, count: int) -> bool:
    return await desk.stt_requests() > count
