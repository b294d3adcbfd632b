"""`record` in an entrypoint that is not ours: it never harms the call, and ends with the job."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast
from unittest.mock import AsyncMock

import pytest
from livekit import api, rtc
from livekit.agents import Agent, AgentSession, JobContext, JobProcess
from livekit.agents.ipc.inference_executor import InferenceExecutor
from livekit.agents.job import JobAcceptArguments, JobExecutorType, RunningJobInfo
from livekit.protocol import agent as job_pb
from livekit.protocol import models

import callrecord
from callrecord import record
from callrecord.events import (
    CallConnected,
    CallEnded,
    CallStarted,
    Event,
    Message,
    new_id,
    now,
)
from callrecord.outbox.reader import Entry, Tail
from callrecord.recording.record import PLACE, Place
from tests.unit.callrecord.recording.people import leave, participant
from tests.unit.callrecord.recording.scripted import TOKENS, Reply, ScriptedLLM
from tests.waiting import until


class Job:
    """A job's context, without a server."""

    def __init__(self) -> None:
        token = api.AccessToken("key", "a-secret-that-is-long-enough-for-it")
        info = RunningJobInfo(
            accept_arguments=JobAcceptArguments(name="", identity="agent", metadata=""),
            job=job_pb.Job(id="AJ_1", room=models.Room(sid="RM_1", name="room")),
            url="ws://127.0.0.1:1",
            token=token.with_identity("agent").to_jwt(),
            worker_id="AW_1",
            fake_job=False,
        )
        self.ctx = JobContext(
            proc=JobProcess(
                executor_type=JobExecutorType.THREAD, user_arguments=None, http_proxy=None
            ),
            info=info,
            room=rtc.Room(),
            on_connect=lambda: None,
            on_shutdown=lambda _: None,
            inference_executor=cast("InferenceExecutor", None),
        )

    async def shut_down(self, reason: str) -> None:
        """Call back as LiveKit does at a job's end."""
        for callback in self.ctx._shutdown_callbacks:
            await callback(reason)


@pytest.fixture
async def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Job]:
    """A job whose outbox is `tmp_path`."""
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path))
    job = Job()
    yield job
    await job.shut_down("at the end")
    await job.ctx._on_cleanup()


def session(*replies: Reply) -> AgentSession[None]:
    """Return a session on text alone."""
    return AgentSession[None](llm=ScriptedLLM(replies))


def recorded(directory: Path) -> list[Event]:
    """Return what stands in the one outbox file."""
    (path,) = directory.glob("**/*.events")
    tail = Tail(path)
    try:
        return [item.event for item in tail.read() if isinstance(item, Entry)]
    finally:
        tail.close(remove=False)


def reason(directory: Path) -> str:
    """Return how the call ended."""
    (end,) = (event for event in recorded(directory) if isinstance(event, CallEnded))
    return end.end_reason


def _said(directory: Path) -> list[Message]:
    messages = [event for event in recorded(directory) if isinstance(event, Message)]
    newest = {message.id: message for message in messages}
    return [message for message in newest.values() if message.role == "assistant"]


async def test_two_sessions_of_a_job_are_one_call(job: Job, tmp_path: Path) -> None:
    first, second = session(Reply("One.")), session(Reply("Two."))
    for each in (first, second):
        recording = record(job.ctx, each)
        assert record(job.ctx, each) is recording
        await each.start(Agent(instructions="Be brief."))
        await each.generate_reply(user_input="Go on.")
        await each.aclose()
    await job.shut_down("done")
    events = recorded(tmp_path)
    said = {event.id: event for event in events if isinstance(event, Message)}
    replies = [message.content for message in said.values() if message.role == "assistant"]
    assert replies == ["One.", "Two."]
    assert isinstance(events[0], CallStarted)
    assert (events[0].key, events[0].job_id) == (recording.key, "AJ_1")


async def test_a_session_that_is_never_started_ends_with_the_job(job: Job, tmp_path: Path) -> None:
    record(job.ctx, session())
    await job.shut_down("room disconnected")
    assert reason(tmp_path) == "no_caller"
    assert not any(isinstance(event, CallConnected) for event in recorded(tmp_path))


async def test_an_entrypoint_that_raises_afterwards_is_an_error(job: Job, tmp_path: Path) -> None:
    record(job.ctx, session())
    await job.shut_down("job crashed")
    assert reason(tmp_path) == "error"


async def test_an_entrypoint_that_raises_while_its_session_talks_is_an_error(
    job: Job, tmp_path: Path
) -> None:
    """LiveKit closes the session in the agent's name, and only then tells of the crash."""
    talking = session(Reply("One."))
    recording = record(job.ctx, talking)
    recording._joined(participant("ada"))
    await talking.start(Agent(instructions="Be brief."))
    await talking.aclose()
    await job.shut_down("job crashed")
    assert reason(tmp_path) == "error"


async def test_a_session_that_takes_over_before_the_first_is_closed(
    job: Job, tmp_path: Path
) -> None:
    """Each keeps what is its own, and the call goes on to the caller's leave."""
    hold, ada = asyncio.Event(), participant("ada")
    first, second = session(Reply("First. ", hold=hold)), session(Reply("Second. "))
    recording = record(job.ctx, first)
    record(job.ctx, second)
    recording._joined(ada)
    for each in (first, second):
        await each.start(Agent(instructions="Be brief."))
    speech = first.generate_reply(user_input="Go on.")
    await until(lambda: _said(tmp_path), what="the first one's draft")
    reply = second.generate_reply(user_input="And you?")
    await reply
    hold.set()
    await speech
    await first.aclose()
    recording._left(leave(ada))
    left_at = now()
    await second.aclose()
    await job.shut_down("room disconnected")
    said = _said(tmp_path)
    assert [(message.content.strip(), message.speech_id) for message in said] == [
        ("First.", speech.id),
        ("Second.", reply.id),
    ]
    assert [(message.tokens, message.model) for message in said] == [(TOKENS, "scripted-llm")] * 2
    (end,) = (event for event in recorded(tmp_path) if isinstance(event, CallEnded))
    assert (end.end_reason, end.at < left_at) == ("caller_hangup", True)


async def test_a_session_still_talking_is_waited_for(job: Job, tmp_path: Path) -> None:
    """LiveKit closes it in a shutdown callback of its own, which may come after ours."""
    talking = session(Reply("One."))
    record(job.ctx, talking)
    await talking.start(Agent(instructions="Be brief."))
    job.ctx.add_shutdown_callback(talking.aclose)
    ours, close = job.ctx._shutdown_callbacks
    await asyncio.gather(ours("done"), close("done"))
    assert reason(tmp_path) == "no_caller"


async def test_a_session_that_could_not_be_closed_is_not_waited_for(
    job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a realtime model that was lost: LiveKit emits no event then."""
    talking = session(Reply("One."))
    record(job.ctx, talking)
    await talking.start(Agent(instructions="Be brief."))
    with monkeypatch.context() as lost:
        lost.setattr(talking, "_aclose_impl", AsyncMock(side_effect=OSError("lost")))
        with pytest.raises(OSError, match="lost"):
            await talking.aclose()
    await job.shut_down("done")
    assert "session not closed in time" not in caplog.text
    await talking.aclose()


async def test_an_outbox_that_cannot_be_made_costs_one_line_and_no_call(
    job: Job, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGENT_OUTBOX_DIR", "/proc/outbox")
    talking = session(Reply("One."))
    recording = record(job.ctx, talking)
    assert (recording.key, recording.recorder) == (None, None)
    assert record(job.ctx, talking) is recording
    await talking.start(Agent(instructions="Be brief."))
    await talking.generate_reply(user_input="Go on.")
    await talking.aclose()
    lines = [each for each in caplog.records if each.levelname == "ERROR"]
    assert [line.getMessage() for line in lines] == ["call not recorded"]


async def test_a_worker_says_where_its_jobs_write(job: Job, tmp_path: Path) -> None:
    place = Place(tmp_path, new_id())
    job.ctx.proc.userdata[PLACE] = place
    record(job.ctx, session())
    (started, *_) = recorded(tmp_path)
    assert isinstance(started, CallStarted)
    assert started.worker_id == place.worker_id
    assert Path(tmp_path, f"AJ_1.{started.key.hex}.events").exists()  # noqa: ASYNC240


def test_the_package_names_what_it_has() -> None:
    assert set(callrecord.__all__) <= set(dir(callrecord))
    with pytest.raises(AttributeError, match="has no attribute 'replay'"):
        _ = callrecord.replay
