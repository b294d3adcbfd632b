"""Callers in real rooms of a real LiveKit server; they hear each other, no agent is needed."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from local.caller import Caller, CallerError, NobodyAnsweredError, Server, TooLateError
from local.caller.sound import RATE_HZ, Sound, encode_wav, loudness_dbfs
from local.calling.conversation import Conversation, HangUp, Line, Script
from local.calling.transcript import Turn, Who
from local.stack import running

pytestmark = pytest.mark.room


@pytest.fixture(scope="session")
async def server() -> AsyncIterator[Server]:
    async with running(ai=False, postgres=False) as stack:
        yield Server(stack.livekit_url, stack.api_key, stack.api_secret)


def _tone(seconds: float) -> Sound:
    time_s = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return Sound((np.sin(2 * np.pi * 440 * time_s) * 8_000).astype(np.int16))


def _caller(server: Server, room: str, identity: str) -> Caller:
    return Caller(server, room=room, identity=identity, hear_anyone=True)


@asynccontextmanager
async def _pair(server: Server) -> AsyncIterator[tuple[Caller, Caller]]:
    room = f"room-{uuid4()}"
    async with _caller(server, room, "ada") as ada, _caller(server, room, "ben") as ben:
        await ada.join()
        await ben.join(create=False)
        await asyncio.gather(ada.agent_joined(), ben.agent_joined())
        yield ada, ben


async def test_one_hears_when_the_other_speaks_and_for_how_long(server: Server) -> None:
    async with _pair(server) as (ada, ben):
        mark = time.monotonic()
        said = await ada.speak(_tone(1.0))
        heard = await ben.agent_speech(mark)
        ended_at = await ben.agent_quiet(0.5)
    assert said.started_at is not None
    assert said.ended_at is not None
    assert said.ended_at - said.started_at == pytest.approx(1.0, abs=0.2)
    assert heard.started_at == pytest.approx(said.started_at, abs=0.5)
    assert ended_at == heard.last_voice_at
    assert heard.duration_s == pytest.approx(1.0, abs=0.3)


async def test_what_is_heard_is_kept(server: Server) -> None:
    async with _pair(server) as (ada, ben):
        mark = time.monotonic()
        await ada.speak(_tone(0.5))
        speech = await ben.agent_speech(mark)
        await ben.agent_quiet(0.5)
        kept = ben.recording(speech.started_at, speech.last_voice_at)
    assert len(kept) / RATE_HZ == pytest.approx(speech.duration_s, abs=0.1)
    assert loudness_dbfs(kept) > -25


async def test_a_muted_caller_is_not_heard(server: Server) -> None:
    async with _pair(server) as (ada, ben):
        ada.mute()
        mark = time.monotonic()
        await ada.speak(_tone(0.5))
        with pytest.raises(TooLateError, match="for the agent to speak"):
            await ben.agent_speech(mark, timeout_s=0.5)
        ada.unmute()
        await ada.speak(_tone(0.5))
        assert await ben.first_audio(mark) > 0.5


async def test_a_caller_who_hushes_is_not_heard_to_the_end(server: Server) -> None:
    async with _pair(server) as (ada, ben):
        said = await ada.start_speaking(_tone(20.0))
        await ben.agent_speaking()
        ada.hush()
        assert said.done.is_set()
        await ben.agent_quiet(0.5, timeout_s=5.0)


async def test_a_caller_who_rejoins_speaks_and_hears_again(server: Server) -> None:
    async with _pair(server) as (ada, ben):
        await ada.rejoin()
        mark = time.monotonic()
        await asyncio.gather(ada.speak(_tone(0.5)), ben.speak(_tone(0.5)))
        assert await ada.first_audio(mark) < 5.0
        assert await ben.first_audio(mark) < 5.0


async def test_a_room_that_closes_ends_every_wait(server: Server) -> None:
    async with _pair(server) as (ada, _ben):
        waiting = asyncio.create_task(ada.agent_speech(time.monotonic(), timeout_s=60.0))
        await server.delete_room(ada.room_name)
        with pytest.raises(CallerError, match="ROOM_DELETED"):
            await asyncio.wait_for(waiting, 10.0)


async def test_nobody_answers(server: Server) -> None:
    async with Caller(server, room=f"room-{uuid4()}") as caller:
        await caller.join()
        with pytest.raises(NobodyAnsweredError, match="within 0 s"):
            await caller.agent_joined(timeout_s=0.3)
        await caller.hang_up()
        with pytest.raises(CallerError, match="hung up"):
            await caller.agent_quiet()


async def test_a_wrong_key_is_told(server: Server) -> None:
    wrong = Server(server.url, server.api_key, "x" * 32)
    async with Caller(wrong, room="any") as caller:
        with pytest.raises(CallerError, match="cannot create room any"):
            await caller.join()
        with pytest.raises(CallerError, match="cannot enter the room"):
            await caller.join(create=False)


async def _answer(other: Caller, replies: int) -> None:
    """Greet, then answer each utterance with a long tone that breaks off when spoken into."""
    await other.agent_joined()
    await other.speak(_tone(0.5))
    mark = time.monotonic()
    for _ in range(replies):
        question = await other.agent_speech(mark)
        while not question.ended:
            await other.agent_quiet(0.5)
        mark = time.monotonic()
        reply = await other.start_speaking(_tone(3.0))
        while not reply.done.is_set():
            await asyncio.sleep(0.02)
            if other.current_speech() is not None:
                other.hush()
                break


async def test_a_conversation_with_an_interruption(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    path.write_bytes(encode_wav(_tone(0.8).samples))
    script = Script((Line(path), Line(path, over_s=1.0)), hang_up=HangUp.END)
    turns: list[Turn] = []
    room = f"room-{uuid4()}"
    async with _caller(server, room, "other") as other, _caller(server, room, "caller") as caller:
        await other.join()
        answering = asyncio.create_task(_answer(other, replies=2))
        conversation = Conversation(
            caller, script, on_turn=turns.append, listen=False, create_room=False
        )
        assert await conversation.run() == turns
        await answering
    assert [turn.who for turn in turns] == [
        Who.AGENT, Who.CALLER, Who.AGENT, Who.CALLER, Who.AGENT,
    ]  # fmt: skip
    assert [turn.interrupted for turn in turns] == [False, False, True, False, False]
    assert turns[1].text == "[question.wav]"
    cut, whole = turns[2], turns[4]
    assert cut.ended_at_s - cut.started_at_s < 2.9
    assert whole.ended_at_s - whole.started_at_s > 2.9
    assert whole.latency_s is not None
    assert 0.3 < whole.latency_s < 3.0
