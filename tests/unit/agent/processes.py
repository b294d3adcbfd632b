"""`python -m agent` as a process or in this one, with nothing of this machine's settings."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.__main__ import main
from agent.settings import Settings
from local.places import PROJECT

LIVEKIT = {
    "LIVEKIT_URL": "ws://127.0.0.1:1",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "a-secret-that-is-long-enough-for-it",
}
"""A server that is always away."""

AWAY = {
    **LIVEKIT,
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x",
    "OPENAI_API_KEY": "key",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
}
"""All that a worker needs to start, and everything away."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, and what it printed to both streams."""

    code: int
    out: str
    err: str


@contextmanager
def settings_alone(monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[None]:
    """Nothing of this machine's settings in this process, but these."""
    with monkeypatch.context() as patch:
        for name in list(os.environ):
            if name.lower() in Settings.model_fields or name.startswith("AGENT_"):
                patch.delenv(name)
        for name, value in settings.items():
            patch.setenv(name, value)
        yield


async def agent_here(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, cwd: Path, **settings: str
) -> int:
    """Run the command line in this process, which has imported all; return its exit code."""
    with settings_alone(monkeypatch, **settings), monkeypatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["agent", *arguments])
        return await asyncio.to_thread(main)


async def agent(*arguments: str, cwd: Path, **settings: str) -> Ended:
    """Run the command line to its end."""
    async with started(*arguments, cwd=cwd, **settings) as process:
        out, err = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def started(
    *arguments: str, cwd: Path, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start the command line; at the end kill what still runs of it, idle processes as well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *arguments,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(PROJECT), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # all of it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def printed(process: asyncio.subprocess.Process, text: str) -> None:
    """Wait until the process has printed a line with this text."""
    assert process.stdout is not None

    async def read() -> None:
        assert process.stdout is not None
        while text.encode() not in (line := await process.stdout.readline()):
            assert line, f"ended without printing {text!r}"

    await asyncio.wait_for(read(), 60)
