"""Child processes: each has its own session, logs to a file, and stops with its descendants."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from local.errors import StartError
from local.log_lines import in_words

_LAUNCHER = Path(__file__).with_name("launch.py")
_TAIL_BYTES = 4_000
_TAIL_LINES = 15


@dataclass
class Child:
    """One child process.

    On Linux the kernel sends it ``stop_signal`` if this process dies without stopping it. Start it
    from a thread that lives as long as the child should, because the kernel watches the thread.
    """

    name: str
    command: Sequence[str]
    log: Path
    """The file to which its stdout and stderr are appended."""
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    owner: tuple[int, int] | None = None
    """User and group id to run as; None for the current user."""
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 5.0
    """How long it may take to stop before it is killed."""
    _process: asyncio.subprocess.Process | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        """The process id, None before the start."""
        return None if self._process is None else self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not exited."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process.

        Raises:
            StartError: It is already running, or the program cannot be run.
        """
        if self.running:
            raise StartError(f"{self.name} is already running")
        owner = "" if self.owner is None else "{}:{}".format(*self.owner)
        launch = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid())]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *launch,
                str(int(self.stop_signal)),
                owner,
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.cwd,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Wait until it exits; return its exit code (negative: the signal)."""
        if self._process is None:
            raise StartError(f"{self.name} was not started")
        return await self._process.wait()

    async def stop(self) -> None:
        """Stop it with its signal, kill it after the grace, and kill remaining descendants.

        Safe to call twice, or on a child that was never started.
        """
        await self._end(self.stop_signal, self.grace_s)

    async def kill(self) -> None:
        """Kill it and its descendants at once, as a crash or the kernel would."""
        await self._end(signal.SIGKILL, self.grace_s)

    def tail(self) -> str:
        """Return the last lines of its log as readable text, for an error message."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(in_words(line) for line in text.splitlines()[-_TAIL_LINES:])

    def failure(self, what: str) -> StartError:
        """Return an error that says what happened and has the end of the log."""
        return StartError(f"{self.name}: {what}\n{self.tail()}".rstrip())

    async def _end(self, number: signal.Signals, grace_s: float) -> None:
        process = self._process
        if process is None:
            return
        # Listed before the signal, because children of a dead process are reparented to init.
        descendants = _descendants(process.pid) if process.returncode is None else []
        if process.returncode is None:
            process.send_signal(number)
            try:
                await asyncio.wait_for(process.wait(), grace_s)
            except TimeoutError:
                process.kill()
                await process.wait()
        for each in descendants:
            if each.is_running():
                _kill(each)
        if descendants:
            await asyncio.to_thread(psutil.wait_procs, descendants, grace_s)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    else:
        return found


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()  # psutil compares the start time first, so a reused pid is safe
    except psutil.NoSuchProcess:
        return
