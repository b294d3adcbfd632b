"""An agent of somebody else's in a real room: all of the call is in the tables."""

import signal
import time
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from tests.e2e.rows import Reader, said
from tests.e2e.worker import Worker
from tests.postgres import Connection
from tests.waiting import until

pytestmark = pytest.mark.room

END_S = 60.0
"""The job of such an agent ends with its room, which the server keeps for a while."""


async def _greeted(caller: Caller) -> None:
    await caller.join()
    await caller.agent_speaking()
    await caller.agent_quiet()


async def _answered(caller: Caller, text: str) -> None:
    began = time.monotonic()
    await caller.speak(text)
    await caller.agent_speech(began + 0.5)
    await caller.agent_quiet()


async def test_all_of_a_call_is_recorded(
    starter: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    room = f"starter-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        await _answered(caller, "What is your name?")
        await _answered(caller, "How is the weather?")
        left_at = time.time()
    rows = await Reader(pg).ended(room, timeout_s=END_S)
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
    await until(lambda: not starter.outbox_files(), what="an empty outbox")


async def test_a_killed_job_keeps_what_was_said(
    starter: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """The reply that was being spoken, too."""
    room = f"starter-killed-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
        starter.job().send_signal(signal.SIGKILL)
        rows = await Reader(pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "worker_crashed")
    assert "story" in said(rows, "user")[0]
    assert said(rows, "assistant")[1].startswith("Once upon a time")
    assert all(leg["left_at"] is not None for leg in rows.participants)


@pytest.mark.usefixtures("starter")
async def test_the_agent_hangs_up(server: Server, voice: Voice, pg: Connection) -> None:
    room = f"starter-ends-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        await caller.speak("Thank you, goodbye.")
        rows = await Reader(pg).ended(room, timeout_s=END_S)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "agent_hangup")
    assert said(rows, "assistant")[-1] == "Goodbye, and take care."


async def test_a_deploy_cuts_no_call(
    starter: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """A worker told to stop serves its call to the end, and all of it is recorded."""
    room = f"starter-deploy-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        starter.terminate()
        await until(lambda: b"draining worker" in starter.log.read_bytes(), what="the drain")
        await _answered(caller, "What is your name?")
    assert await starter.wait() == 0
    rows = await Reader(pg).ended(room)
    assert rows.call["end_reason"] == "caller_hangup"
    assert said(rows, "assistant")[-1] == "My name is Robin. What is yours?"


async def test_a_killed_job_with_a_realtime_model(
    realtime_starter: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """Keeps the reply that was being spoken, as with the three models."""
    room = f"starter-realtime-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        await _answered(caller, "What is your name?")
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
        realtime_starter.job().send_signal(signal.SIGKILL)
        rows = await Reader(pg).ended(room)
    assert rows.call["end_reason"] == "worker_crashed"
    greeting, name, story = said(rows, "assistant")
    assert greeting == "Hi, what can I do for you?"
    assert name == "My name is Robin. What is yours?"
    assert story.startswith("Once upon a time")
