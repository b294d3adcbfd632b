"""The workers of a soak: processes with an outbox each, killed and started again."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from local.demo.worker import SETTINGS
from local.places import PROJECT
from local.procs import Child
from local.stack import Stack

REGISTER_S = 60.0
AGENT_NAME = "soak"
_REGISTERED = b"registered worker"


class SoakWorker:
    """One worker.

    Attributes:
        outbox: Its directory, the same after every start.
        busy: Held while it is killed and started again.
    """

    def __init__(self, stack: Stack, directory: Path, *, max_calls: int) -> None:
        directory.mkdir()
        self.outbox = directory / "outbox"
        self.busy = asyncio.Lock()
        self._starts = 0
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AGENT")}
        own = {
            "PYTHONPATH": str(PROJECT),
            "AGENT_NAME": AGENT_NAME,
            "AGENT_OUTBOX_DIR": str(self.outbox),
            "AGENT_SPEECH_CACHE_DIR": str(directory / "speech"),
            "AGENT_MAX_CALLS": str(max_calls),
        }
        self._child = Child(
            directory.name,
            [sys.executable, "-m", "agent", "start"],
            log=directory / "worker.log",
            env={**inherited, **stack.env(), **SETTINGS, **own},
            cwd=directory,
        )
        self._child.grace_s = 60.0

    async def start(self) -> None:
        """Start it and wait until LiveKit knows it.

        Raises:
            StartError: It ended, or took too long; with the end of its log.
        """
        self._starts += 1
        await self._child.start()
        deadline = time.monotonic() + REGISTER_S
        while self._child.log.read_bytes().count(_REGISTERED) < self._starts:
            if not self._child.running:
                raise self._child.failure("ended at its start; the end of its log:")
            if time.monotonic() > deadline:
                raise self._child.failure("not registered in time; the end of its log:")
            await asyncio.sleep(0.1)

    async def stop(self) -> int:
        """SIGTERM; return the exit code."""
        await self._child.stop()
        return await self._child.wait()

    async def kill(self, *, with_jobs: bool) -> None:
        """SIGKILL the worker, alone or with all its jobs."""
        if with_jobs:
            await self._child.kill()
        elif self._child.pid is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            await self._child.wait()

    def jobs(self) -> dict[str, psutil.Process]:
        """Return the processes that hold a call's outbox file, by their job's id."""
        if not self._child.running:
            return {}
        found: dict[str, psutil.Process] = {}
        for process in psutil.Process(self._child.pid).children(recursive=True):
            try:
                names = [Path(file.path).name for file in process.open_files()]
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            found |= {
                name.split(".", maxsplit=1)[0]: process
                for name in names
                if name.endswith(".events")
            }
        return found

    def files(self) -> list[Path]:
        """Return the calls that are not wholly in Postgres."""
        return list(self.outbox.glob("*/*.events"))
