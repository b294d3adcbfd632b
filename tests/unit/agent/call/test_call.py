"""A call's identity and its end, with LiveKit's own job and context; rooms are in tests/rooms."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from livekit import api, rtc
from livekit.agents import JobContext, JobProcess
from livekit.agents.ipc.inference_executor import InferenceExecutor
from livekit.agents.job import JobAcceptArguments, JobExecutorType, RunningJobInfo
from livekit.protocol import agent as job_pb
from livekit.protocol import models

from agent.call.call import Call
from agent.settings import load
from callrecord.events import CallEnded, CallStarted, Event, now
from callrecord.outbox.reader import Entry, Tail
from callrecord.recording.metadata import call_header
from callrecord.recording.record import PLACE, Place
from tests.unit.callrecord.recording.people import leave, participant

IDENTITY = "agent-AJ_1"


def job(**changes: str) -> job_pb.Job:
    """Return a job as LiveKit's server sends it."""
    room = models.Room(
        sid="RM_1",
        name="call-1",
        metadata=changes.get("room_metadata", ""),
        creation_time=1_700_000_000,
        creation_time_ms=1_700_000_000_123,
    )
    return job_pb.Job(
        id="AJ_1",
        room=room,
        metadata=changes.get("metadata", ""),
        dispatch_id=changes.get("dispatch_id", ""),
        agent_name="robin",
    )


def header(**changes: str) -> CallStarted:
    """Return the header that a job's call begins with."""
    return call_header(job(**changes), uuid4(), IDENTITY)


def test_the_header_tells_who_the_call_is() -> None:
    worker_id = uuid4()
    told = call_header(job(dispatch_id="AD_1"), worker_id, IDENTITY)
    assert (told.job_id, told.room_name, told.room_sid) == ("AJ_1", "call-1", "RM_1")
    assert told.room_created_at == datetime.fromtimestamp(1_700_000_000.123, UTC)
    assert (told.worker_id, told.agent_name) == (worker_id, "robin")
    assert told.agent_identity == IDENTITY
    assert told.metadata == {"livekit": {"dispatch_id": "AD_1"}}
    assert told.call_id is None


def test_the_row_is_named_by_the_room_or_by_the_job() -> None:
    """The job's word counts more: a dispatch is later and for this job alone."""
    in_room, in_job = json.dumps({"callId": "room"}), json.dumps({"callId": "job"})
    assert header(room_metadata=in_room).call_id == "room"
    assert header(room_metadata=in_room, metadata=in_job).call_id == "job"


@pytest.mark.parametrize("text", ["", "{", "[1]", '"callId"', "null", '{"callId": null}'])
def test_odd_metadata_names_no_row(text: str) -> None:
    assert header(metadata=text, room_metadata=text).call_id is None


class Job:
    """A job's context, and the call in it.

    Attributes:
        shutdowns: With which reasons the job was asked to end.
    """

    def __init__(self, directory: Path, *, fake: bool) -> None:
        self.shutdowns: list[str] = []
        token = api.AccessToken("key", "a-secret-that-is-long-enough-for-it")
        info = RunningJobInfo(
            accept_arguments=JobAcceptArguments(name="", identity=IDENTITY, metadata=""),
            job=job(),
            url="ws://127.0.0.1:1",
            token=token.with_identity(IDENTITY).to_jwt(),
            worker_id="W_1",
            fake_job=fake,
        )
        self._context = JobContext(
            proc=JobProcess(
                executor_type=JobExecutorType.THREAD, user_arguments=None, http_proxy=None
            ),
            info=info,
            room=rtc.Room(),
            on_connect=lambda: None,
            on_shutdown=self.shutdowns.append,
            inference_executor=cast("InferenceExecutor", None),
        )
        settings = load(directory / "none")
        self._context.proc.userdata[PLACE] = Place(directory, uuid4())
        self.call = Call(self._context, settings)
        self._directory = directory

    async def close(self) -> None:
        """Clean up, as LiveKit does at the job's end."""
        self.call.recorder.finish("error", now(), {})
        await self._context._on_cleanup()

    def events(self) -> list[Event]:
        """Return what stands in the outbox."""
        (path,) = self._directory.glob("*.events")
        tail = Tail(path)
        try:
            return [item.event for item in tail.read() if isinstance(item, Entry)]
        finally:
            tail.close(remove=False)

    def end(self) -> CallEnded:
        """Return how the call ended."""
        (end,) = (event for event in self.events() if isinstance(event, CallEnded))
        return end


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Job]:
    """A job in a room."""
    made = Job(tmp_path, fake=False)
    yield made
    await made.close()


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Job]:
    """A job on the console."""
    made = Job(tmp_path, fake=True)
    yield made
    await made.close()


async def test_the_first_reason_counts(real: Job) -> None:
    at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    real.call.end("transferred", at)
    real.call.end("error")
    await real.call.finish()
    assert real.shutdowns == ["transferred"]
    assert (real.end().end_reason, real.end().at) == ("transferred", at)


async def test_a_job_cut_by_the_worker_was_drained(real: Job) -> None:
    await real.call.finish()
    await real.call.finish()
    assert real.end().end_reason == "drained"


async def test_a_job_cut_within_the_grace_ended_with_the_last_leave(real: Job) -> None:
    """The caller was gone when the drain deadline came: that was the end."""
    caller = participant()
    real.call._recording._joined(caller)
    real.call._recording._left(leave(caller))
    left_at = real.call._recording.people.gone_since
    await real.call.finish()
    assert (real.end().end_reason, real.end().at) == ("caller_hangup", left_at)


async def test_who_leaves_the_console_has_hung_up(console: Job) -> None:
    await console.call.finish()
    assert console.end().end_reason == "caller_hangup"


async def test_the_room_is_not_waited_for_at_the_end(
    real: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """LiveKit away when the agent hangs up: the end is recorded first, and the job goes on."""
    real.call.end("agent_hangup")
    await real.call.finish()
    assert real.end().end_reason == "agent_hangup"
    assert "deleting room" in caplog.text


async def test_a_call_that_can_not_begin_says_why(real: Job) -> None:
    with pytest.raises(KeyError, match="parts"):
        await real.call.run()
    await real.call.finish()
    assert real.end().end_reason == "error"
    assert real.end().detail == {"error": "KeyError('parts')"}


async def test_a_call_over_before_it_began_is_no_error(real: Job) -> None:
    """The room was deleted while the session started, for one."""
    real.call.end("room_closed")
    await real.call.run()
    await real.call.finish()
    assert real.end().end_reason == "room_closed"
