"""The four faults that a first version must survive, in real rooms."""

import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from callrecord.db.migrate import migrate
from local.caller import Caller, Server
from local.caller.voice import Voice
from local.postgres import LocalPostgres
from local.stack import Stack
from tests.e2e.rows import Reader, said
from tests.e2e.worker import Worker
from tests.postgres import Connection
from tests.waiting import until

pytestmark = pytest.mark.room


async def _answered(caller: Caller, text: str) -> None:
    began = time.monotonic()
    await caller.speak(text)
    await caller.agent_speech(began + 0.5)
    await caller.agent_quiet()


async def _greeted(caller: Caller) -> None:
    await caller.join()
    await caller.agent_speaking()
    await caller.agent_quiet()


async def test_job_killed_in_mid_call(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """Kill -9 of the job while the agent speaks keeps all turns, and the reply begun."""
    room = f"kill-job-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        await _answered(caller, "What is your name?")
        began = time.monotonic()
        await caller.speak("Tell me a story, please.")
        await caller.agent_speech(began + 0.5)
        killed_at = time.time()
        worker.job().send_signal(signal.SIGKILL)
        rows = await Reader(pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "worker_crashed")
    assert abs(rows.call["ended_at"].timestamp() - killed_at) < 2
    question, wish = said(rows, "user")
    assert "your name" in question
    assert "story" in wish
    _greeting, name, story = said(rows, "assistant")
    assert name == "My name is Robin. What is yours?"
    assert story.startswith("Once upon a time")
    assert all(leg["left_at"] is not None for leg in rows.participants)
    await until(lambda: not worker.outbox_files(), what="an empty outbox")


async def test_worker_killed_and_restarted(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """Kill -9 of the whole worker: the next one on this host ships what is left."""
    room = f"kill-worker-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        await _answered(caller, "What is your name?")
        await worker.kill()
        await worker.start()
        rows = await Reader(pg).ended(room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "worker_crashed")
    assert len(said(rows, "user")) == 1
    assert said(rows, "assistant")[1] == "My name is Robin. What is yours?"
    await until(lambda: not worker.outbox_files(), what="an empty outbox")


async def test_sigterm_lets_the_call_end(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """A worker told to stop serves its call to the end, ships it, and exits with 0."""
    room = f"drain-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await _greeted(caller)
        worker.terminate()
        await until(lambda: b"draining worker" in worker.log.read_bytes(), what="the drain")
        await _answered(caller, "What is your name?")
        await caller.hang_up()
        assert await worker.wait() == 0
    rows = await Reader(pg).call(room)
    assert rows is not None
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "caller_hangup")
    assert said(rows, "assistant")[1] == "My name is Robin. What is yours?"
    assert worker.outbox_files() == []


async def test_postgres_away_for_a_minute(
    stack: Stack, server: Server, voice: Voice, tmp_path: Path, open_directory: Path
) -> None:
    """Calls go on while Postgres is stopped; when it is back nothing is missing, nothing twice."""
    room = f"away-{uuid4().hex[:8]}"
    postgres = LocalPostgres(open_directory)
    await postgres.start()
    try:
        await migrate(postgres.url)
        worker = Worker(stack, tmp_path, postgres.url, name=server.agent_name)
        await worker.start()
        async with Caller(server, room=room, voice=voice) as caller:
            await _greeted(caller)
            await postgres.stop()
            away_since = time.monotonic()
            turns = 0
            while time.monotonic() - away_since < 60:
                await _answered(caller, "What is your name?")
                turns += 1
            await postgres.start()
            await _answered(caller, "What is your name?")
        await _check_complete(postgres.url, room, turns + 1)
        await until(lambda: not worker.outbox_files(), what="an empty outbox")
        assert await worker.stop() == 0
    finally:
        await postgres.stop()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that the account of Postgres can reach too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def _check_complete(url: str, room: str, turns: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        rows = await Reader(connection).ended(room, timeout_s=40)
        assert rows.call["end_reason"] == "caller_hangup"
        replies = said(rows, "assistant")
        assert replies[1:] == ["My name is Robin. What is yours?"] * turns
        assert len(said(rows, "user")) == turns
        refused = await connection.fetchval("select count(*) from voice_worker.refused_events")
        assert refused == 0
    finally:
        await connection.close()
