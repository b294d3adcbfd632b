"""The server in place of AgentServer: what an agent of somebody else's has given it still works.

LiveKit's server is played by its own messages: a request, and an assignment. Jobs are threads.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from livekit.agents import AgentSession, JobContext, JobProcess, JobRequest
from livekit.agents import worker as livekit_worker
from livekit.agents.job import JobExecutorType
from livekit.protocol import agent as job_pb
from livekit.protocol import models

from callrecord import RecordingServer, record
from callrecord.events import CallStarted, decode
from callrecord.recording.job_notes import not_recorded
from callrecord.recording.record import PLACE, Place
from callrecord.recording.server import SETTLE_EVERY_S
from tests.postgres.server import Connection
from tests.waiting import until

Start = Callable[..., Awaitable[RecordingServer]]
KEY, SECRET = "key", "a-secret-that-is-long-enough-for-it"


@pytest.fixture
async def start(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Start a server that is not registered, on an outbox in `tmp_path`."""
    monkeypatch.setattr(livekit_worker, "ASSIGNMENT_TIMEOUT", 2 * SETTLE_EVERY_S)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
    async with AsyncExitStack() as stack:

        async def run(entrypoint: Callable[[JobContext], Any], **session: Any) -> RecordingServer:
            server = RecordingServer(
                ws_url="ws://127.0.0.1:1",
                api_key=KEY,
                api_secret=SECRET,
                port=0,
                job_executor_type=JobExecutorType.THREAD,
                num_idle_processes=0,
                load_threshold=math.inf,  # this machine may be busy with other tests
                setup_fnc=_setup,
            )
            server.rtc_session(entrypoint, **session)
            started = asyncio.Event()
            server.once("worker_started", started.set)
            running = asyncio.create_task(server.run(unregistered=True))
            stack.push_async_callback(_closed, server, running)
            await asyncio.wait_for(started.wait(), 30)
            return server

        yield run


def _setup(proc: JobProcess) -> None:
    proc.userdata["theirs"] = "loaded"


async def _record_and_leave(ctx: JobContext) -> None:
    assert ctx.proc.userdata["theirs"] == "loaded"
    record(ctx, AgentSession[None]())
    ctx.shutdown("nothing to do")


async def _record_and_stay(ctx: JobContext) -> None:
    record(ctx, AgentSession[None]())


async def _record_and_die(ctx: JobContext) -> None:
    record(ctx, AgentSession[None]())
    raise RuntimeError("after the recording began")


async def _leave(ctx: JobContext) -> None:
    ctx.shutdown("not a call to record")


async def _try_to_record_and_leave(ctx: JobContext) -> None:
    place = ctx.proc.userdata[PLACE]
    ctx.proc.userdata[PLACE] = Place(place.directory / "gone", place.worker_id)
    record(ctx, AgentSession[None]())
    ctx.shutdown("done")


async def _turn_away(ctx: JobContext) -> None:
    not_recorded(ctx)
    ctx.shutdown("room disconnected")  # LiveKit's own word, where the room is closed first


async def _die(_: JobContext) -> None:
    raise RuntimeError("before anything is recorded")


async def test_their_set_up_and_our_record_meet_in_the_job(start: Start, pg: Connection) -> None:
    server = await start(_record_and_leave)
    await _serve(server)
    row = await _ended(pg)
    assert (row["end_reason"], row["agent_identity"]) == ("no_caller", "agent-AJ_1")
    assert row["worker_id"] is not None


async def test_an_entrypoint_that_raises_is_an_error(start: Start, pg: Connection) -> None:
    await _serve(await start(_record_and_die))
    assert (await _ended(pg))["end_reason"] == "error"


async def test_a_job_cut_by_its_worker_was_drained(start: Start, pg: Connection) -> None:
    """LiveKit's own word for it, which a new version may change."""
    server = await start(_record_and_stay)
    await _serve(server)
    await until(lambda: pg.fetchval("select count(*) from voice_calls"), what="the call")
    await server.aclose()
    assert (await _ended(pg))["end_reason"] == "drained"


async def test_a_job_that_dies_before_it_records_is_a_call_too(
    start: Start, pg: Connection
) -> None:
    await _serve(await start(_die))
    assert (await _ended(pg))["end_reason"] == "worker_crashed"


async def test_a_job_that_ends_in_order_without_recording_is_no_call(
    start: Start, tmp_path: Path, pg: Connection
) -> None:
    """An agent that looks who calls and leaves, say; its own end of session still runs."""
    ended: list[str] = []

    async def session_end(ctx: JobContext) -> None:
        ended.append(ctx.job.id)

    server = await start(_leave, on_session_end=session_end)
    await _serve(server)
    await until(lambda: ended and not server.active_jobs, what="the job's end")
    assert _notes(tmp_path) == []
    await server.aclose()
    assert ended == ["AJ_1"]
    assert await pg.fetchval("select count(*) from voice_calls") == 0


async def test_a_job_that_could_not_be_recorded_is_a_call_too(start: Start, pg: Connection) -> None:
    await _serve(await start(_try_to_record_and_leave))
    assert (await _ended(pg))["end_reason"] == "worker_crashed"


async def test_a_job_that_was_turned_away_is_a_call_too(start: Start, pg: Connection) -> None:
    """Whatever ended the job first: the room's end comes before its own word, or after it."""
    await _serve(await start(_turn_away))
    assert (await _ended(pg))["end_reason"] == "worker_crashed"


async def test_their_code_may_accept_under_a_name_of_its_own(start: Start, tmp_path: Path) -> None:
    async def accept(request: JobRequest) -> None:
        assert request.room.name == "room-1"
        await request.accept(name="Robin", identity="robin", attributes={"mood": "good"})

    answer = await _request(await start(_die, on_request=accept))
    assert (answer.participant_identity, answer.participant_name) == ("robin", "Robin")
    assert answer.participant_attributes["mood"] == "good"
    (note,) = _notes(tmp_path)
    header = decode(note.read_bytes())
    assert isinstance(header, CallStarted)
    assert header.agent_identity == "robin"
    # LiveKit gives it to nobody here: in time that is known, and no call remains.
    await until(lambda: not _notes(tmp_path), what="the note to be taken back")


async def test_their_code_may_reject(start: Start, tmp_path: Path) -> None:
    async def reject(request: JobRequest) -> None:
        await request.reject(terminate=True)

    answer = await _request(await start(_die, on_request=reject))
    assert not answer.available
    assert answer.terminate
    assert _notes(tmp_path) == []


async def test_a_database_of_another_schema_stops_it(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
    server = RecordingServer(ws_url="ws://127.0.0.1:1", api_key=KEY, api_secret=SECRET)
    server.rtc_session(_die)
    with pytest.raises(SystemExit) as end:
        await server.run(unregistered=True)
    assert end.value.code == 2
    assert server.failed


async def _request(server: RecordingServer) -> job_pb.AvailabilityResponse:
    server._handle_availability(job_pb.AvailabilityRequest(job=_job()))
    while True:
        message = await asyncio.wait_for(server._msg_chan.recv(), 10)
        if message.WhichOneof("message") == "availability":
            return message.availability


async def _serve(server: RecordingServer) -> None:
    assert (await _request(server)).available
    token = api.AccessToken(KEY, SECRET).with_identity("agent-AJ_1").to_jwt()
    server._handle_assignment(job_pb.JobAssignment(job=_job(), token=token))


async def _ended(pg: Connection) -> Any:
    ended = "select * from voice_calls where ended_at is not null"
    return await until(lambda: pg.fetchrow(ended), timeout_s=30, what="the call's end")


def _job() -> job_pb.Job:
    room = models.Room(sid="RM_1", name="room-1")
    return job_pb.Job(id="AJ_1", room=room, type=job_pb.JT_ROOM)


def _notes(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("outbox/*/*.accepted"))


async def _closed(server: RecordingServer, running: "asyncio.Task[None]") -> None:
    await server.aclose()
    await running
