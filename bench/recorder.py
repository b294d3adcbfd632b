"""`python -m bench.recorder`: what recording an event costs the event loop of a call.

Beside it, awaiting an INSERT of the same row into the same table. Twice: as fast as possible, and
in a loop that does what a call does besides, where caches are cold when an event comes.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np

from bench import report
from bench.database import database, server_conditions
from bench.sql import sql
from bench.workload import header, message, row
from callrecord.events import Message
from callrecord.outbox.writer import OutboxWriter
from callrecord.recording.recorder import Recorder

FRAME_S = 0.01
FRAME_SAMPLES = 480
EVENT_EVERY_FRAMES = 5
Record = Callable[[Message], Awaitable[None]]


async def tight(record: Record, count: int) -> tuple[list[float], float]:
    """Record without a pause; return microseconds of each, and the loop's CPU time of one."""
    events = [message(number) for number in range(count)]
    took = []
    cpu = time.thread_time()
    for event in events:
        began = time.perf_counter_ns()
        await record(event)
        took.append((time.perf_counter_ns() - began) / 1000)
    return took, (time.thread_time() - cpu) / count * 1e6


async def beside_audio(record: Record, count: int) -> list[float]:
    """Record an event every 50 ms in a loop that works on an audio frame every 10 ms."""
    took: list[float] = []
    noise = np.random.default_rng(7)
    spectrum = np.zeros(FRAME_SAMPLES // 2 + 1)
    due = time.monotonic()
    for frame in range(count * EVENT_EVERY_FRAMES):
        samples = noise.integers(-3000, 3000, FRAME_SAMPLES * 8).astype(np.float32)
        spectrum += np.abs(np.fft.rfft(samples[:FRAME_SAMPLES]))
        due += FRAME_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if frame % EVENT_EVERY_FRAMES == 0:
            event = message(frame)
            began = time.perf_counter_ns()
            await record(event)
            took.append((time.perf_counter_ns() - began) / 1000)
    return took


async def measure(url: str, directory: Path, args: Any) -> list[report.Row]:
    """Measure both ways to record in both loops; microseconds."""
    head = header()
    recorder = Recorder(OutboxWriter(directory, head))
    connection = await asyncpg.connect(url)
    call = (head.key, head.room_name, head.room_sid, head.at, head.job_id)
    await connection.execute(sql("insert_call"), *call)
    insert = await connection.prepare(sql("insert_message"))

    async def by_outbox(event: Message) -> None:
        recorder.append(event)

    async def by_insert(event: Message) -> None:
        await insert.fetchrow(*row(event, head.key, 1))

    try:
        rows = []
        for loop in ("tight loop", "beside audio"):
            for name, record in (("outbox", by_outbox), ("awaited INSERT", by_insert)):
                cpu: float | str = ""
                if loop == "tight loop":
                    took, cpu = await tight(record, args.events if name == "outbox" else 2000)
                else:
                    took = await beside_audio(record, args.beside)
                rows.append({"where": loop, "way": name, **report.spread(took), "loop CPU": cpu})
        for ours, plain in (rows[:2], rows[2:]):
            for each in (ours, plain):
                each["p50 ratio"] = each["p50"] / ours["p50"]
                each["p99 ratio"] = each["p99"] / ours["p99"]
        return rows
    finally:
        await connection.close()


async def run(args: Any) -> None:
    """Measure, print and write."""
    begun = report.conditions()
    async with database() as url:
        begun |= await server_conditions(url)
        with tempfile.TemporaryDirectory() as directory:
            rows = await measure(url, Path(directory), args)
    report.show("microseconds until an event is recorded; ratios to the outbox", rows)
    report.finish(args.out, "recorder", {"microseconds": rows}, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("Microseconds of the event loop for one recorded event.")
    parser.add_argument("--events", type=int, default=20_000, help="in the tight loop")
    parser.add_argument("--beside", type=int, default=400, help="beside audio, 20 a second")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
