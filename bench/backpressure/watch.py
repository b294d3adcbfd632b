"""What live calls wait for: from the append of a turn to its row, and the shipper's memory."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import psutil

from bench.sql import sql

POLL_S = 0.002


class Latency:
    """Milliseconds from append to visible, of turns appended since `since`.

    Attributes:
        all: Of every turn.
        first: Of the first turns of new calls.
        any: Set once there is one.
        waiting: Turns that are not visible yet: id, time of the append (ns), whether a first one.
        since: Monotonic time in ns; what was appended before does not count.
    """

    def __init__(self) -> None:
        self.all: list[float] = []
        self.first: list[float] = []
        self.any = asyncio.Event()
        self.waiting: dict[UUID, tuple[int, bool]] = {}
        self.since = time.monotonic_ns()

    def tell(self, line: str) -> None:
        """Take a line of the live calls' process."""
        id_, at, first = line.split()
        if int(at) >= self.since:
            self.waiting[UUID(id_)] = (int(at), first == "1")

    def seen(self, id_: UUID, at: int) -> None:
        """Note that a row is there."""
        appended, first = self.waiting.pop(id_)
        took = (at - appended) / 1e6
        self.all.append(took)
        self.any.set()
        if first:
            self.first.append(took)

    def begin(self) -> None:
        """Count from now on."""
        self.all, self.first, self.waiting = [], [], {}
        self.any.clear()
        self.since = time.monotonic_ns()


@asynccontextmanager
async def live_calls(directory: Path, calls: int) -> AsyncIterator[Latency]:
    """Hold live calls for the length of the block."""
    latency = Latency()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.backpressure.live", str(directory), str(calls)),
        stdout=asyncio.subprocess.PIPE,
    )

    async def read() -> None:
        while process.stdout is not None and (line := await process.stdout.readline()):
            latency.tell(line.decode())

    reading = asyncio.create_task(read())
    try:
        yield latency
    finally:
        process.kill()
        await process.wait()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


@asynccontextmanager
async def watching(url: str, latency: Latency) -> AsyncIterator[None]:
    """Poll for the rows of live turns for the length of the block."""
    connection = await asyncpg.connect(url)

    async def poll() -> None:
        there = await connection.prepare(sql("messages_there"))
        while True:
            if latency.waiting:
                rows = await there.fetch(list(latency.waiting))
                at = time.monotonic_ns()
                for row in rows:
                    latency.seen(row["id"], at)
            await asyncio.sleep(POLL_S)

    polling = asyncio.create_task(poll())
    try:
        yield
    finally:
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling
        await connection.close()


async def memory(pid: int, into: list[float]) -> None:
    """Append the resident memory of a process (MB) twice a second, until cancelled."""
    process = psutil.Process(pid)
    while True:
        into.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(0.5)
