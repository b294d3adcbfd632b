"""`python -m agent`: exit codes, one clear line for what is wrong, and the end of a worker."""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.reader import Tail
from tests.rooms.personas import copy_agent
from tests.unit.agent.processes import AWAY, LIVEKIT, agent, agent_here, printed, started
from tests.unit.callrecord.recording.outbox import Outbox
from tests.waiting import until

RunMain = Callable[..., Awaitable[str]]


@pytest.fixture
def run_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> RunMain:
    """Run `main` with these arguments and settings: it ends with code 2, and one line, returned."""

    async def run(*arguments: str, **settings: str) -> str:
        given = {"OPENAI_API_KEY": "k", "AGENT_HTTP_PORT": "0"} | settings
        assert await agent_here(monkeypatch, *arguments, cwd=tmp_path, **given) == 2
        out, error = capsys.readouterr()
        assert out == ""
        assert error.startswith("agent: ")
        assert error.count("\n") == 1, error
        return error

    return run


async def test_help_needs_no_settings(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    ended = await agent("--help", cwd=tmp_path)
    assert ended.code == 0
    assert "start" in ended.out
    assert "check" in ended.out
    assert ".env.example" in ended.out
    assert not await asyncio.to_thread((tmp_path / "var").exists)


async def test_an_older_schema_is_one_line(run_main: RunMain, empty_database_url: str) -> None:
    error = await run_main("start", **LIVEKIT, DATABASE_URL=empty_database_url)
    assert "python -m db migrate" in error


async def test_what_is_missing_is_one_line(run_main: RunMain) -> None:
    """For LiveKit only where it is needed: the console does without."""
    assert "LIVEKIT_URL is not set" in await run_main("dev")
    assert "DATABASE_URL is not set" in await run_main("start", **LIVEKIT)
    assert "OPENAI_API_KEY is not set" in await run_main("console", OPENAI_API_KEY="")


async def test_a_console_without_a_sound_library_is_one_line(
    run_main: RunMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit's console loads it for text alone too, and shows a page of its code without."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "libportaudio2" in await run_main("console")


async def test_what_does_not_do_is_one_line(run_main: RunMain, tmp_path: Path) -> None:
    file = tmp_path / "file"
    await asyncio.to_thread(file.touch)
    assert "DATABASE_URL is not the URL of a Postgres database" in await run_main(
        "start", **LIVEKIT, DATABASE_URL="mysql://h/x"
    )
    assert "AGENT_NMAE is not a setting" in await run_main("start", AGENT_NMAE="x")
    assert "AGENT_MAX_CALLS: " in await run_main("start", AGENT_MAX_CALLS="0")
    error = await run_main("start", **LIVEKIT, AGENT_OUTBOX_DIR=str(file))
    assert f"AGENT_OUTBOX_DIR={file}" in error


async def test_a_taken_port_is_one_line(run_main: RunMain) -> None:
    """As for the second worker on a machine."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = await run_main("start", **AWAY, AGENT_HTTP_PORT=str(port))
    assert f"AGENT_HTTP_PORT={port} can't be had" in error


async def test_two_developers_workers_start_on_one_host(tmp_path: Path) -> None:
    """Each on a free port, as LiveKit's own do."""
    (tmp_path / "second").mkdir()
    async with (
        started("dev", cwd=tmp_path, **AWAY) as first,
        started("dev", cwd=tmp_path / "second", **AWAY) as second,
    ):
        for worker in (first, second):
            await printed(worker, "HTTP server listening")


async def test_a_persona_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    """It names the file and the line, where LiveKit would show a page of its code."""
    copy_agent(tmp_path, "    )\n")
    ended = await agent("start", cwd=tmp_path, **AWAY, AGENT_HTTP_PORT="0")
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("agent: agent/assistant.py can't be loaded: SyntaxError: ")
    assert "assistant.py, line " in line


async def test_sigterm_keeps_what_could_not_be_shipped(tmp_path: Path) -> None:
    """LiveKit and Postgres away: the worker waits for both, ends well, and loses nothing."""
    file = _leftover(tmp_path)
    settings = {**AWAY, "AGENT_SHIP_TIMEOUT_S": "0.2"}
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
    assert "database away" in err.decode()
    _check_whole(tmp_path, file)


async def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    """And leaves an outbox that the next worker can take."""
    file = _leftover(tmp_path)
    settings = {**AWAY, "AGENT_SHIP_TIMEOUT_S": "600"}
    async with started(
        "start", cwd=tmp_path, AGENT_OUTBOX_DIR="outbox", AGENT_HTTP_PORT="0", **settings
    ) as worker:
        await printed(worker, "failed to connect to livekit")
        worker.send_signal(signal.SIGTERM)
        await printed(worker, "shutting down worker")
        worker.send_signal(signal.SIGTERM)
        # `wait` waits for the end of its output, too, which idle processes of jobs hold.
        await until(lambda: worker.returncode is not None, what="the worker's end")
        assert worker.returncode == 1
    _check_whole(tmp_path, file)


def _leftover(tmp_path: Path) -> Path:
    directory = OutboxHome(tmp_path / "outbox").take()
    outbox = Outbox(directory.path)
    outbox.recorder.turns.of_caller.heard("Hello?")
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
