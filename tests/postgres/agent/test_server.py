"""The worker: which calls it takes, and what becomes of them, with jobs as threads.

LiveKit's server is played by its own messages: a request, and an assignment.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit import api
from livekit.agents import worker as livekit_worker
from livekit.agents.job import JobExecutorType
from livekit.protocol import agent as job_pb
from livekit.protocol import models

from agent.server import VoiceServer
from agent.settings import load
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import hidden_path
from callrecord.recording.server import SETTLE_EVERY_S
from tests.postgres.server import Connection
from tests.unit.agent.processes import LIVEKIT
from tests.unit.callrecord.calls import started
from tests.waiting import until

Start = Callable[..., Awaitable[tuple[VoiceServer, asyncio.Task[None]]]]


@pytest.fixture
async def start(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Start a worker that is not registered; closed at the end, with the log as it was."""
    monkeypatch.setattr(livekit_worker, "ASSIGNMENT_TIMEOUT", 2 * SETTLE_EVERY_S)
    formatters = {handler: handler.formatter for handler in logging.getLogger().handlers}
    async with AsyncExitStack() as stack:

        async def run(**settings: str) -> tuple[VoiceServer, asyncio.Task[None]]:
            own = {"DATABASE_URL": database_url, "OPENAI_API_KEY": "k", "AGENT_HTTP_PORT": "0"}
            env = LIVEKIT | own | settings
            for name, value in env.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("AGENT_OUTBOX_DIR", str(tmp_path / "outbox"))
            monkeypatch.setenv("AGENT_SPEECH_CACHE_DIR", str(tmp_path / "speech"))
            monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
            server = VoiceServer(load(tmp_path / "none"))
            server.update_options(job_executor_type=JobExecutorType.THREAD, num_idle_processes=0)
            started = asyncio.Event()
            server.once("worker_started", started.set)
            running = asyncio.create_task(server.run(unregistered=True))
            stack.push_async_callback(_closed, server, running)
            await asyncio.wait_for(started.wait(), 30)
            return server, running

        yield run
    for handler, formatter in formatters.items():
        handler.setFormatter(formatter)


async def test_a_burst_is_taken_up_to_the_limit(
    start: Start, tmp_path: Path, pg: Connection
) -> None:
    """Each with a note on disk; one that LiveKit gives to somebody else is no call of ours."""
    server, _ = await start(AGENT_MAX_CALLS="3")
    answers = await _request(server, 4)
    assert sorted(answer.available for answer in answers) == [False, True, True, True]
    assert len(_notes(tmp_path)) == 3
    await until(lambda: not _notes(tmp_path), what="the notes to be taken back")
    assert await pg.fetchval("select count(*) from voice_calls") == 0


async def test_no_call_is_taken_when_the_disk_is_nearly_full(start: Start, tmp_path: Path) -> None:
    server, _ = await start(AGENT_OUTBOX_MIN_FREE_MB=str(10**9))
    (answer,) = await _request(server, 1)
    assert not answer.available
    assert _notes(tmp_path) == []


async def test_a_note_that_cannot_be_settled_yet_keeps_no_worker_from_starting(
    start: Start, tmp_path: Path
) -> None:
    taken = OutboxHome(tmp_path / "outbox").take()
    header = started()
    note = taken.note_accepted(header)
    hidden_path(taken.path, header).mkdir()  # the disk refuses the file, for root too
    taken.release()
    server, _ = await start()
    assert [answer.available for answer in await _request(server, 1)] == [True]
    assert note.exists()


async def test_a_job_in_a_thread_is_recorded_to_its_end(start: Start, pg: Connection) -> None:
    """Its room can't be reached: the call failed, and says why."""
    server, _ = await start()
    (answer,) = await _request(server, 1)
    assert answer.participant_identity == "agent-AJ_0"
    server._handle_assignment(job_pb.JobAssignment(job=_job(0), token=_token(server)))
    ended = "select status, end_reason, metadata from voice_calls where ended_at is not null"
    row = await until(lambda: pg.fetchrow(ended), timeout_s=30, what="the call's end")
    assert (row["status"], row["end_reason"]) == ("failed", "error")
    assert "ConnectError" in row["metadata"]


async def test_all_is_shipped_when_run_returns(start: Start, pg: Connection) -> None:
    """The console waits for nothing else."""
    server, running = await start()
    await _request(server, 1)
    server._handle_assignment(job_pb.JobAssignment(job=_job(0), token=_token(server)))
    await until(lambda: server.active_jobs, what="the job")
    closing = asyncio.create_task(server.aclose())
    await running
    assert await pg.fetchval("select end_reason from voice_calls") == "error"
    await closing


async def _request(server: VoiceServer, count: int) -> list[job_pb.AvailabilityResponse]:
    """Ask for jobs at once, as LiveKit's server does, and return the answers."""
    for number in range(count):
        server._handle_availability(job_pb.AvailabilityRequest(job=_job(number)))
    answers: list[job_pb.AvailabilityResponse] = []
    while len(answers) < count:
        message = await asyncio.wait_for(server._msg_chan.recv(), 10)
        if message.WhichOneof("message") == "availability":
            answers.append(message.availability)
    return answers


def _job(number: int) -> job_pb.Job:
    room = models.Room(sid=f"RM_{number}", name=f"room-{number}")
    return job_pb.Job(id=f"AJ_{number}", room=room, type=job_pb.JT_ROOM)


def _token(server: VoiceServer) -> str:
    token = api.AccessToken(server._api_key, server._api_secret)
    grants = api.VideoGrants(room_join=True, room="room-0", agent=True)
    return token.with_identity("agent-AJ_0").with_grants(grants).to_jwt()


def _notes(tmp_path: Path) -> list[Path]:
    return list(tmp_path.glob("outbox/*/*.accepted"))


async def _closed(server: VoiceServer, running: "asyncio.Task[None]") -> None:
    await server.aclose()
    await running
