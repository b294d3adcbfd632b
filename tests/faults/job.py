"""A job as a process of its own: it appends what it is told to, and says what it has appended.

`python -m tests.faults.job DIRECTORY` makes an outbox file there. Each line of its standard input
is one event's JSON; it answers with the same line once the event is appended. `eat` has it use up
its memory, `fork` has it start a child that outlives it. At the end of its input it closes the file
in order.
"""

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from callrecord.events import CallStarted, Event, decode, encode
from callrecord.outbox.writer import OutboxWriter
from local.places import PROJECT
from tests.faults.invariant import Recorded
from tests.unit.callrecord.calls import started


class Job:
    """A job's process, and the ledger of what it said it had appended.

    Attributes:
        recorded: The ledger.
    """

    def __init__(self, process: asyncio.subprocess.Process, header: CallStarted) -> None:
        self.recorded = Recorded(header)
        self._process = process

    async def append(self, *events: Event) -> None:
        """Have events appended, and note each one as soon as the job says so."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for event in events:
            self._process.stdin.write(encode(event) + b"\n")
        for event in events:
            line = await self._process.stdout.readline()
            assert line.strip() == encode(event), f"the job said {line!r}"
            self.recorded.events.append(event)

    async def do(self, word: str) -> None:
        """Have it do something else, see above."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        await self._process.stdin.drain()

    async def said(self) -> str:
        """Return its next line."""
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()

    async def gone(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        return await self._process.wait()

    async def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        self._process.kill()
        await self._process.wait()

    async def end(self) -> int:
        """Have it close its file in order; return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return await self._process.wait()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process.returncode is None


@asynccontextmanager
async def job(
    directory: Path, header: CallStarted | None = None, *, file_limit: int = 0
) -> AsyncIterator[Job]:
    """Run a job that writes into a worker's directory; it is killed if it still runs at the end.

    Args:
        directory: A worker's subdirectory of the outbox.
        header: The call; a new one by default.
        file_limit: Bytes that a file of the job may have (RLIMIT_FSIZE): a disk that is full.
    """
    header = header or started()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.job", str(directory), str(file_limit)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=PROJECT,
        limit=2**24,
    )
    running = Job(process, header)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode(header) + b"\n")
        assert await process.stdout.readline() == b"ready\n", "the job has not begun"
        yield running
    finally:
        if running.running:
            await running.kill()
        if process.stdin is not None:
            process.stdin.close()


def main(directory: str, file_limit: str) -> None:
    """Do what standard input says."""
    lines = sys.stdin.buffer
    header = decode(lines.readline())
    assert isinstance(header, CallStarted)
    writer = OutboxWriter(Path(directory), header)
    if int(file_limit):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_limit), hard))
    os.write(1, b"ready\n")
    for line in lines:
        if line == b"eat\n":
            _eat()
        elif line == b"fork\n":
            _fork()
        else:
            writer.append(decode(line))
            os.write(1, line)
    writer.close()


def _eat() -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**26, hard))
    eaten = []
    while True:
        eaten.append(bytearray(2**20))


def _fork() -> None:
    """Start a child without `exec`, as a tool may, which holds whatever its parent had open."""
    child = os.fork()
    if child == 0:
        os.closerange(0, 2)  # its parent's end is to be seen; what is held is the outbox file
        time.sleep(600)
        os._exit(0)
    os.write(1, b"%d\n" % child)


if __name__ == "__main__":
    main(*sys.argv[1:])
