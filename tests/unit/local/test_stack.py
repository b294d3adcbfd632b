"""The parts put together, and their processes."""

import asyncio
import signal
from pathlib import Path

import pytest

from local.errors import StartError
from local.procs import Child
from local.stack import Stack, running, running_parts
from tests.unit.local.servers import (
    alive,
    descendants,
)
from tests.waiting import until


def test_parts_left_out_are_not_in_the_environment() -> None:
    stack = Stack(openai_base_url="http://127.0.0.1:1/v1", openai_api_key="local")
    assert stack.env() == {
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_API_KEY": "local",
    }


async def test_a_named_database_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Postgres is started, and a line says so."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/calls")
    lines: list[str] = []
    async with running(ai=False, livekit=False, progress=lines.append) as stack:
        assert stack.database_url == "postgresql://db.example/calls"
    assert lines == ["postgres: using DATABASE_URL"]


async def test_a_part_that_dies_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for ``failed`` learns which part it was."""
    monkeypatch.setenv("DATABASE_URL", "")
    script = tmp_path / "script.json"
    script.write_text('{"tts": "tone", "stt": []}')
    async with running_parts(postgres=False, livekit=False, script=script) as parts:
        failure = asyncio.ensure_future(parts.failed())
        assert parts.ai is not None
        await parts.ai.kill()
        assert "AI server: exited with code -9" in str(await failure)


async def test_a_child_that_ignores_signals_is_killed_with_its_children(tmp_path: Path) -> None:
    child = Child(
        name="stubborn",
        command=["sh", "-c", "trap '' TERM; sleep 60 & echo up; while :; do sleep 60; done"],
        log=tmp_path / "log",
        grace_s=0.2,
    )
    await child.start()
    assert child.pid is not None
    await until(lambda: "up" in child.tail())
    processes = descendants(child.pid)
    assert processes
    await child.stop()
    await child.stop()
    assert await child.wait() == -signal.SIGKILL
    assert not alive(processes)


async def test_a_program_that_is_not_there_fails_in_its_log(tmp_path: Path) -> None:
    child = Child(name="nothing", command=["/no/such/program"], log=tmp_path / "log")
    await child.start()
    assert await child.wait() != 0
    assert "FileNotFoundError" in child.tail()
    assert isinstance(child.failure("failed"), StartError)
