"""An agent of somebody else's in a real room: all of the call is in the tables."""

import asyncio
import signal
import time
from uuid import uuid4

import pytest

from local.caller import Caller
from tests.rooms.adoption.conftest import ORDER, Starter
from tests.rooms.rows import Reader, said
from tests.waiting import until

pytestmark = pytest.mark.room


async def _answered(caller: Caller, text: str) -> None:
    began = time.monotonic()
    await caller.speak(text)
    await caller.agent_speech(began + 0.5)
    await caller.agent_quiet()


async def test_all_of_a_call_is_recorded(starter: Starter) -> None:
    room = f"starter-{uuid4().hex[:8]}"
    async with starter.greeted(room) as caller:
        await _answered(caller, "What is your name?")
        await _answered(caller, "How is the weather?")
        left_at = time.time()
    rows = await Reader(starter.pg).ended(room)
    call = rows.call
    assert (call["status"], call["end_reason"]) == ("completed", "caller_hangup")
    assert abs(call["ended_at"].timestamp() - left_at) < 3
    assert call["connected_at"] < call["ended_at"]
    name, weather = said(rows, "user")
    assert "your name" in name
    assert "weather" in weather
    assert said(rows, "assistant") == [
        "Hi, what can I do for you?",
        "My name is Robin. What is yours?",
        "It is sunny in Berlin today.",
    ]
    (tool,) = (message for message in rows.messages if message["role"] == "system")
    assert tool["metadata"]["result"] == "Sunny in Berlin, 22 degrees."
    agent, human = rows.participants
    assert (agent["kind"], human["kind"]) == ("agent", "standard")
    assert agent["participant_identity"] == call["agent_identity"]
    assert human["disconnect_reason"] == "client_initiated"
    assert {usage["kind"] for usage in rows.usage} == {"llm", "stt", "tts"}
    requests = [usage for usage in rows.usage if usage["kind"] == "llm"]
    assert call["total_tokens_used"] == sum(usage["total_tokens"] for usage in requests) > 0
    await until(lambda: not starter.worker.outbox_files(), what="an empty outbox")


async def test_an_entrypoint_that_fails_in_mid_call_is_an_error(starter: Starter) -> None:
    """LiveKit closes the session as if the agent had hung up."""
    room = f"crash-{uuid4().hex[:8]}"
    async with starter.joined(room):
        rows = await Reader(starter.pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "error")
    end = rows.call["metadata"]["end"]
    assert end == {"error": "the job's entrypoint failed"}


async def test_a_killed_job_keeps_what_was_said(starter: Starter) -> None:
    """The reply that was being spoken, too."""
    room = f"starter-killed-{uuid4().hex[:8]}"
    async with starter.greeted(room) as caller:
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
        starter.worker.job().send_signal(signal.SIGKILL)
        rows = await Reader(starter.pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "worker_crashed")
    assert "story" in said(rows, "user")[0]
    assert said(rows, "assistant")[1].startswith("Once upon a time")
    assert all(leg["left_at"] is not None for leg in rows.participants)


async def test_a_caller_hangs_up_in_mid_utterance(starter: Starter) -> None:
    """LiveKit closes the session at once; what was said by then is a turn, marked as cut."""
    room = f"starter-cut-{uuid4().hex[:8]}"
    async with starter.greeted(room) as caller:
        utterance = await caller.start_speaking(ORDER)
        await until(lambda: utterance.started_at, what="the first word")
        await asyncio.sleep(2.5)  # into the middle of what is said, as is asserted next
        assert not utterance.done.is_set()
        await caller.hang_up()
        rows = await Reader(starter.pg).ended(room)
    assert rows.call["end_reason"] == "caller_hangup"
    (turn,) = (message for message in rows.messages if message["role"] == "user")
    assert turn["content"].lower().startswith("i would like to order")
    assert "corner" not in turn["content"]
    assert turn["interrupted"]


async def test_the_agent_hangs_up(starter: Starter) -> None:
    room = f"starter-ends-{uuid4().hex[:8]}"
    async with starter.greeted(room) as caller:
        await caller.speak("Thank you, goodbye.")
        rows = await Reader(starter.pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "agent_hangup")
    assert said(rows, "assistant")[-1] == "Goodbye, and take care."


async def test_a_deploy_cuts_no_call(starter: Starter) -> None:
    """A worker told to stop serves its call to the end, and all of it is recorded.

    The last test of its worker.
    """
    room, worker = f"starter-deploy-{uuid4().hex[:8]}", starter.worker
    async with starter.greeted(room) as caller:
        worker.terminate()
        await until(lambda: b"draining worker" in worker.log.read_bytes(), what="the drain")
        await _answered(caller, "What is your name?")
    assert await worker.wait() == 0
    rows = await Reader(starter.pg).ended(room)
    assert rows.call["end_reason"] == "caller_hangup"
    assert said(rows, "assistant")[-1] == "My name is Robin. What is yours?"


async def test_a_killed_job_with_a_realtime_model(realtime_starter: Starter) -> None:
    """Keeps the reply that was being spoken, as with the three models."""
    room = f"starter-realtime-{uuid4().hex[:8]}"
    async with realtime_starter.greeted(room) as caller:
        await _answered(caller, "What is your name?")
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
        realtime_starter.worker.job().send_signal(signal.SIGKILL)
        rows = await Reader(realtime_starter.pg).ended(room)
    assert rows.call["end_reason"] == "worker_crashed"
    greeting, name, story = said(rows, "assistant")
    assert greeting == "Hi, what can I do for you?"
    assert name == "My name is Robin. What is yours?"
    assert story.startswith("Once upon a time")
