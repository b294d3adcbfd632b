"""`python -m bench.visibility`: from an event to its row, as another connection sees it.

A process appends events, the shipper runs in this one, and a connection polls. With `--calls N`
real calls instead: a stack, the worker, callers; from the end of what a caller says.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench import report
from bench.calls import measure_calls
from bench.database import database, server_conditions
from bench.sql import sql
from callrecord.outbox.directory import OutboxHome
from callrecord.shipping.shipper import Shipper

POLL_S = 0.001
PATIENCE_S = 20.0


class NotVisibleError(Exception):
    """A row did not become visible in time."""


async def synthetic(url: str, events: int, rate: float) -> list[float]:
    """Return milliseconds from each append to the row's visibility."""
    with tempfile.TemporaryDirectory() as directory:
        home = OutboxHome(Path(directory))
        own = home.take()
        shipper = Shipper(home, own, url)
        shipper.start()
        command = (sys.executable, "-m", "bench.writer", str(own.path), str(events), str(rate))
        writer = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            if writer.stdout is None:
                raise NotVisibleError("the writer has no output")
            call_id = UUID((await writer.stdout.readline()).decode().strip())
            watched = asyncio.create_task(_watch(url, call_id, events, events / rate + PATIENCE_S))
            lines = (await writer.stdout.read()).decode().splitlines()
            seen = await watched
        finally:
            await writer.wait()
            await asyncio.to_thread(shipper.stop, PATIENCE_S)
            own.release()
    appended = {UUID(line.split()[0]): int(line.split()[1]) for line in lines}
    return [(seen[id_] - at) / 1e6 for id_, at in appended.items()]


async def _watch(url: str, call_id: UUID, events: int, limit_s: float) -> dict[UUID, int]:
    deadline = time.monotonic() + limit_s
    seen: dict[UUID, int] = {}
    connection = await asyncpg.connect(url)
    try:
        newest = await connection.prepare(sql("message_rows"))
        while len(seen) < events:
            rows = await newest.fetch(call_id, len(seen))
            at = time.monotonic_ns()
            seen |= {row["id"]: at for row in rows}
            if time.monotonic() > deadline:
                raise NotVisibleError(f"{len(seen)} rows of {events} after {limit_s:.0f} s")
            await asyncio.sleep(POLL_S)
    finally:
        await connection.close()
    return seen


async def run(args: Any) -> None:
    """Measure, print and write."""
    begun = report.conditions()
    result: dict[str, Any] = {}
    if args.calls:
        rows = await measure_calls(args.calls)
        report.show(f"real calls, n = {args.calls}", rows)
        result["calls"] = rows
    else:
        async with database() as url:
            begun |= await server_conditions(url)
            took = await synthetic(url, args.events, args.rate)
        row = {"what": "append -> visible (ms)", **report.spread(took)}
        report.show(f"{args.events} events, {args.rate:.0f} a second", [row])
        result["milliseconds"] = row
    report.finish(args.out, "visibility", result, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("Milliseconds from an event to its row, as another connection sees it.")
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second")
    parser.add_argument("--calls", type=int, default=0, help="real calls instead, so many")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
