"""`python -m db ship` as a process, with a heartbeat that is quick enough for a test."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local.places import PROJECT
from local.procs import Child
from tests.rooms.worker import LOGS
from tests.waiting import until

HEARTBEAT_S, LIMIT_S = 0.1, 1.2


class Sidecar:
    """A host's shipper.

    Attributes:
        outbox: The directory of its host.
        log: What it printed, over all starts.
    """

    def __init__(self, place: Path, name: str, database_url: str) -> None:
        self.outbox = place / name
        self.log = place / f"{name}.log"
        LOGS.add(self.log)
        env = {key: os.environ[key] for key in os.environ if not key.startswith("AGENT_")}
        env |= {
            "PYTHONPATH": str(PROJECT),
            "DATABASE_URL": database_url,
            "AGENT_OUTBOX_DIR": str(self.outbox),
            "AGENT_HEARTBEAT_S": str(HEARTBEAT_S),
            "AGENT_WORKER_LOST_S": str(LIMIT_S),
        }
        command = [sys.executable, "-m", "db", "ship"]
        self._child = Child(name, command, log=self.log, cwd=place, env=env)

    async def start(self) -> Path:
        """Start it; return the subdirectory that it has taken, once it ships."""
        before = self.log.read_text().count(" shipping ") if self.log.exists() else 0
        await self._child.start()
        await until(lambda: self.log.read_text().count(" shipping ") > before, what="the sidecar")
        return next(path for path in self.outbox.iterdir() if path.is_dir())

    async def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGKILL)
        await self._child.wait()

    async def stop(self) -> int:
        """Stop it in order; return its exit code."""
        await self._child.stop()
        return await self._child.wait()

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._child.running


@asynccontextmanager
async def sidecar(place: Path, name: str, database_url: str) -> AsyncIterator[Sidecar]:
    """Have a sidecar, not started; it is killed if it runs at the end."""
    one = Sidecar(place, name, database_url)
    try:
        yield one
    finally:
        if one.running:
            await one.kill()
