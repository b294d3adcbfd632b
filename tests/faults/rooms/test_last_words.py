"""The last words of a call, the caller's and the agent's, are rows, however it ends.

What is left out of an utterance was not said any more, or is less than the model can make out:
here it is enough that the words before are there.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Row, Rows
from local.stack import Stack
from tests.faults.rooms.ledger import GREETING, STORY, nothing_left
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.stack import SCRIPT
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import faulty
from tests.waiting import until

pytestmark = pytest.mark.room

ORDER = (
    "I would like to order two large pizzas with mushrooms and onions, and please bring them to"
    " the house on the corner."
)
SAID = "i would like to order two"
"""What is heard of it within SAYING_S for certain."""
SAYING_S = 3.0

End = Callable[[Caller], Awaitable[object]]


@pytest.fixture
async def models(stack: Stack) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as client:
        yield client


@pytest.fixture
def ends(server: Server) -> dict[str, End]:
    """What callers, or their front ends, may do in mid-utterance."""
    return {
        "caller_hangup": lambda caller: caller.hang_up(),
        "room_closed": lambda caller: server.delete_room(caller.room_name),
    }


async def _cut_off(server: Server, voice: Voice, end: End) -> str:
    """Call, and have the call end in the middle of what the caller says; return the room's name."""
    async with Caller(server, room=f"words-{uuid4().hex[:8]}", voice=voice) as caller:
        sound = await caller.prepare(ORDER)
        await caller.join()
        await caller.agent_speech(0.0, timeout_s=60)
        await caller.agent_quiet()
        utterance = await caller.start_speaking(sound)
        await until(lambda: utterance.started_at, what="the first word")
        await asyncio.sleep(SAYING_S)
        assert not utterance.done.is_set()
        await end(caller)
        return caller.room_name


async def _all_cut_off(
    server: Server, voice: Voice, pg: Connection, ends: dict[str, End]
) -> dict[str, Rows]:
    """Do it in one room after the other; return their rows.

    Not at the same time: both transcripts would be due within the one wait, on the same cores.
    """
    rooms = {reason: await _cut_off(server, voice, end) for reason, end in ends.items()}
    return {reason: await Reader(pg).ended(room) for reason, room in rooms.items()}


def _last_turn(rows: Rows) -> Row:
    """Return the one turn of the caller: cut, and as far as it went."""
    (turn,) = (message for message in rows.messages if message["role"] == "user")
    assert turn["content"].lower().startswith(SAID), turn["content"]
    assert "corner" not in turn["content"], "what was never said"
    assert turn["interrupted"]
    return turn


async def test_callers_are_cut_off_in_mid_utterance(
    worker: Worker, server: Server, voice: Voice, pg: Connection, ends: dict[str, End]
) -> None:
    """By hanging up, and by the room's end, in two rooms."""
    calls = await _all_cut_off(server, voice, pg, ends)
    for reason, rows in calls.items():
        assert rows.call["end_reason"] == reason
        turn = _last_turn(rows)
        assert turn["metadata"].get("final") is not False
        assert said(rows, "assistant") == [GREETING], "no answer to somebody who is gone"
    await nothing_left(pg, worker)


@pytest.mark.slow_fault
async def test_callers_are_cut_off_and_speech_to_text_is_slow(  # noqa: PLR0913, PLR0917
    worker: Worker,
    server: Server,
    voice: Voice,
    pg: Connection,
    ends: dict[str, End],
    models: AsyncOpenAI,
) -> None:
    """By longer than LiveKit itself waits for a transcript at a session's end."""
    await voice.speak(ORDER)
    slow = {"on": "stt", "do": "slow", "delay_s": 2.5}
    async with faulty(models, json.loads(SCRIPT.read_text()), slow):
        calls = await _all_cut_off(server, voice, pg, ends)
    for rows in calls.values():
        _last_turn(rows)
    await nothing_left(pg, worker)


@pytest.mark.slow_fault
async def test_callers_are_cut_off_with_a_realtime_model(  # noqa: PLR0913, PLR0917
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
    ends: dict[str, End],
) -> None:
    """LiveKit drops what the model has not answered yet."""
    other = Server(server.url, server.api_key, server.api_secret, agent_name="words-realtime")
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=other.agent_name,
        AGENT_REALTIME_MODEL="gpt-realtime",
        AGENT_TURN_DETECTION="",
        AGENT_REJOIN_GRACE_S="0.5",
    )
    await worker.start()
    try:
        for rows in (await _all_cut_off(other, voice, pg, ends)).values():
            _last_turn(rows)
        await nothing_left(pg, worker)
    finally:
        await worker.stop()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"AGENT_DRAIN_TIMEOUT_S": "1"}, "drained"),
        ({"AGENT_MAX_DURATION_S": "9", "AGENT_MAX_DURATION_WARNING_S": "0"}, "max_duration"),
    ],
    ids=["drained", "max-duration"],
)
@pytest.mark.slow_fault
async def test_the_agent_is_cut_off_in_mid_reply(  # noqa: PLR0913, PLR0917
    stack: Stack,
    server: Server,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
    settings: dict[str, str],
    reason: str,
) -> None:
    """What it has said by then is kept; a kill and a room's end are in other tests."""
    other = Server(server.url, server.api_key, server.api_secret, agent_name=f"words-{reason}")
    worker = Worker(stack, tmp_path, database_url, name=other.agent_name, **settings)
    await worker.start()
    try:
        async with Caller(other, room=f"words-{uuid4().hex[:8]}") as caller:
            await caller.join()
            await caller.agent_speaking()
            await caller.agent_quiet()
            asked_at = time.monotonic()
            await caller.type("Tell me a story, please.")
            await caller.agent_speech(asked_at)
            if reason == "drained":
                assert await worker.stop() == 0
            rows = await Reader(pg).ended(caller.room_name)
    finally:
        await worker.stop()
    assert rows.call["end_reason"] == reason
    story = next(row for row in rows.messages if row["content"].startswith(STORY))
    assert story["interrupted"]
    assert not story["content"].endswith("to sleep."), "the end was never said"
    await nothing_left(pg, worker)
