"""The worker under test: a process of its own, which can be killed like one."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from local.places import PROJECT
from local.procs import Child
from local.stack import Stack
from tests.waiting import until

REGISTERED = b"registered worker"
LOGS: set[Path] = set()
"""Logs of all workers, for the report of a test that fails."""


class Worker:
    """`python -m agent start`, or another agent, with an outbox in the test's directory.

    Attributes:
        outbox: Its outbox directory, kept over a restart.
        log: What it printed, over all starts.
    """

    def __init__(
        self,
        stack: Stack,
        directory: Path,
        database_url: str,
        *,
        name: str,
        command: Sequence[str] = ("-m", "agent"),
        **settings: str,
    ) -> None:
        self.outbox = directory / "outbox"
        self.log = directory / "worker.log"
        LOGS.add(self.log)
        self._starts = 0
        inherited = {key: os.environ[key] for key in os.environ if not key.startswith("AGENT_")}
        self._child = Child(
            "worker",
            [sys.executable, *command, "start"],
            log=self.log,
            cwd=directory,
            env={
                **inherited,
                **stack.env(),
                "DATABASE_URL": database_url,
                "PYTHONPATH": str(PROJECT),
                "AGENT_NAME": name,
                "AGENT_OUTBOX_DIR": str(self.outbox),
                "AGENT_SPEECH_CACHE_DIR": str(directory.parent / "speech"),  # of all tests
                "AGENT_TURN_DETECTION": "vad",
                "AGENT_HTTP_PORT": "0",
                "AGENT_REJOIN_GRACE_S": "1",
                "AGENT_LOG_FORMAT": "json",
                **settings,
            },
        )
        self._child.grace_s = 60

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child.running

    async def start(self) -> None:
        """Start it and wait until LiveKit knows it."""
        self._starts += 1
        await self._child.start()
        await until(
            lambda: self.log.read_bytes().count(REGISTERED) >= self._starts or self._gone(),
            timeout_s=60,
            what="the worker to register",
        )

    async def stop(self) -> int:
        """SIGTERM, as an orchestrator does, and return the exit code."""
        if self._child.running:
            await self._child.stop()
        elif self._child.pid is None:
            return 0
        return await self._child.wait()

    def terminate(self) -> None:
        """SIGTERM without waiting."""
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGTERM)

    async def wait(self) -> int:
        """Wait for its end and return the exit code."""
        return await self._child.wait()

    async def kill(self) -> None:
        """SIGKILL the worker alone, as the kernel does when memory is short."""
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGKILL)
        await self._child.wait()

    def job(self) -> psutil.Process:
        """Return the process of the one call that runs: the one that holds an outbox file."""
        jobs = [each for each in self._processes() if self._holds_outbox(each)]
        assert len(jobs) == 1, jobs
        return jobs[0]

    def outbox_files(self) -> list[Path]:
        """Return the calls that are not wholly in Postgres yet."""
        return sorted(self.outbox.glob("*/*.events"))

    def _processes(self) -> list[psutil.Process]:
        return list(psutil.Process(self._child.pid).children(recursive=True))

    def _holds_outbox(self, process: psutil.Process) -> bool:
        try:
            return any(file.path.endswith(".events") for file in process.open_files())
        except psutil.NoSuchProcess:
            return False

    def _gone(self) -> bool:
        if self._child.running:
            return False
        raise AssertionError(f"the worker ended:\n{self.log.read_text()[-4000:]}")
