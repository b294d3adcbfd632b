"""``python -m local up`` as its users run it: a process, an environment file, signals."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.unit.local.servers import (
    alive,
    descendants,
    open_directory,
)
from tests.waiting import until

SCRIPT = '{"tts": "tone", "stt": []}'


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a script in it, which is also the temporary directory of the stack."""
    with open_directory() as directory:
        (directory / "script.json").write_text(SCRIPT)
        (directory / "tmp").mkdir()
        (directory / "tmp").chmod(0o711)
        yield directory


@asynccontextmanager
async def up(place: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start ``up``; whatever the test did, nothing of it runs afterwards."""
    environment = os.environ | {"TMPDIR": str(place / "tmp")}
    environment.pop("DATABASE_URL", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local", "up", "--env-file", str(place / "env")),
        *("--script", str(place / "script.json"), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def ready(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    """Wait until it is ready; return its children."""
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    return descendants(process.pid)


@pytest.mark.room
async def test_it_tells_where_everything_is_and_leaves_nothing(place: Path) -> None:
    async with up(place) as process:
        children = await ready(process)
        lines = (place / "env").read_text().splitlines()
        variables = dict(line.split("=", 1) for line in lines)
        assert list(variables) == [
            "LIVEKIT_URL",
            "LIVEKIT_API_KEY",
            "LIVEKIT_API_SECRET",
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
            "DATABASE_URL",
        ]
        assert len(variables["LIVEKIT_API_SECRET"]) >= 32
        assert (place / "env").stat().st_mode & 0o077 == 0
        commands = " ".join(" ".join(child.cmdline()) for child in children)
        assert all(name in commands for name in ("livekit-server", "postgres", "local.ai"))
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert not alive(children)
        assert not list((place / "tmp").iterdir())
        assert not (place / "env").exists()


@pytest.mark.parametrize("presses", [1, 3])
async def test_ctrl_c_during_the_start_leaves_nothing(place: Path, presses: int) -> None:
    """However often it is pressed."""
    async with up(place, "--no-livekit") as process:
        await until(lambda: len(descendants(process.pid)) > 1)
        children = descendants(process.pid)
        for _ in range(presses):
            process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert not alive(children)
        assert not list((place / "tmp").iterdir())
        assert not (place / "env").exists()


async def test_children_die_with_a_killed_parent(place: Path) -> None:
    """Nobody is left to stop them; the next stack removes the directory."""
    async with up(place, "--no-livekit") as process:
        children = await ready(process)
        assert len(children) > 2
        process.kill()
        await process.wait()
        await until(lambda: not alive(children))
        assert list((place / "tmp").iterdir())
    async with up(place, "--no-livekit", "--no-postgres", "--no-ai") as process:
        await ready(process)
        assert len(list((place / "tmp").iterdir())) == 1


async def test_a_part_that_dies_ends_it_all(place: Path) -> None:
    """The message names the part; the exit code says that it failed."""
    async with up(place, "--no-livekit", "--no-postgres") as process:
        children = await ready(process)
        children[0].kill()
        _, errors = await asyncio.wait_for(process.communicate(), 15)
        assert process.returncode == 1
        assert b"AI server: exited with code -9" in errors


async def test_bad_settings_are_told_in_one_line(place: Path) -> None:
    (place / "script.json").write_text("{")
    async with up(place) as process:
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert len(errors.splitlines()) == 1
        assert b"script.json" in errors
