"""`python -m agent`: exit codes, one clear line for what is wrong, and the end of a worker."""

import asyncio
import json
import signal
from pathlib import Path

from db.outbox_home import OutboxHome
from db.tail import Tail
from tests.agent.outbox import Outbox
from tests.agent.processes import LIVEKIT, NOWHERE, agent, printed, started


async def test_help_needs_no_settings(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    ended = await agent("--help", cwd=tmp_path)
    assert ended.code == 0
    assert "start" in ended.out
    assert not await asyncio.to_thread((tmp_path / "var").exists)


async def test_what_is_wrong_is_one_line(tmp_path: Path, empty_database_url: str) -> None:
    """On standard error, with exit code 2, and it says what to change."""
    file = tmp_path / "file"
    file.touch()
    database = {"DATABASE_URL": empty_database_url}
    cases = {
        "LIVEKIT_URL is not set": {},
        "DATABASE_URL is not set": LIVEKIT,
        "python -m db migrate": {**LIVEKIT, **database},
        f"AGENT_OUTBOX_DIR={file}": {**LIVEKIT, **database, "AGENT_OUTBOX_DIR": str(file)},
    }
    ended = await asyncio.gather(
        *(agent("start", cwd=tmp_path, **settings) for settings in cases.values())
    )
    for said, end in zip(cases, ended, strict=True):
        assert end.code == 2, end
        assert said in end.err
        assert end.err.startswith("agent: ")
        assert end.err.count("\n") == 1, end.err
        assert end.out == ""


async def test_sigterm_keeps_what_could_not_be_shipped(tmp_path: Path) -> None:
    """LiveKit and Postgres away: the worker waits for both, ends well, and loses nothing."""
    file = _leftover(tmp_path)
    settings = {**LIVEKIT, "DATABASE_URL": NOWHERE, "AGENT_SHIP_TIMEOUT_S": "0.2"}
    async with started(
        "start", cwd=tmp_path, AGENT_OUTBOX_DIR="outbox", AGENT_HTTP_PORT="0", **settings
    ) as worker:
        await printed(worker, "failed to connect to livekit")
        worker.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(worker.communicate(), 30)
        assert worker.returncode == 0
    lines = [json.loads(line) for line in out.decode().splitlines()]
    (stopped,) = (line for line in lines if line["message"] == "shipper stopped")
    assert (stopped["all_shipped"], stopped["files_left"]) == (False, 1)
    assert "Postgres is away" in err.decode()
    _check_whole(tmp_path, file)


async def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    """And leaves an outbox that the next worker can take."""
    file = _leftover(tmp_path)
    settings = {**LIVEKIT, "DATABASE_URL": NOWHERE, "AGENT_SHIP_TIMEOUT_S": "600"}
    async with started(
        "start", cwd=tmp_path, AGENT_OUTBOX_DIR="outbox", AGENT_HTTP_PORT="0", **settings
    ) as worker:
        await printed(worker, "failed to connect to livekit")
        worker.send_signal(signal.SIGTERM)
        await printed(worker, "shutting down worker")
        worker.send_signal(signal.SIGTERM)
        await asyncio.wait_for(worker.communicate(), 10)
        assert worker.returncode == 1
    _check_whole(tmp_path, file)


def _leftover(tmp_path: Path) -> Path:
    directory = OutboxHome(tmp_path / "outbox").take()
    outbox = Outbox(directory.path)
    outbox.recorder.turns.heard("Hello?")
    outbox.writer.close()
    directory.release()
    return outbox.writer.path


def _check_whole(tmp_path: Path, file: Path) -> None:
    directory = OutboxHome(tmp_path / "outbox").take()
    assert directory.files() == [file]
    directory.release()
    tail = Tail(file)
    assert tail.try_finish()
    assert len(tail.read()) == 3
    tail.close(remove=False)
