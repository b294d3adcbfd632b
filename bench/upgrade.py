"""`python -m bench.upgrade`: a database of the basic schema becomes the enhanced one, timed.

Each migration file runs as `psql -1 -f` does, in a transaction of its own, and the routines run
before the file that moves rows, as in `db migrate`. Meanwhile a front end keeps trying to start
calls as the enhanced schema has them: how long it can't is the downtime, and its longest wait after
that tells what the locks cost.
"""

import asyncio
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from bench import report
from bench.database import database, server_conditions
from bench.sql import sql
from callrecord.schema.migrate import MIGRATIONS, MOVES_ROWS
from callrecord.schema.routines import apply_routines

BASIC = "010_voice_calls.sql"
PROBE_EVERY_S = 0.05
_NOT_YET = (
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedTableError,
    asyncpg.NotNullViolationError,  # ids have their default with the routines
)
SHOWN_FROM_S = 0.1


@dataclass
class FrontEnd:
    """Starts a call every now and then, and notes how it went."""

    url: str
    waits_s: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until told to stop."""
        connection = await asyncpg.connect(self.url)
        try:
            while not stop.is_set():
                began = time.perf_counter()
                try:
                    await connection.fetchval(sql("probe_call"), uuid4().hex)
                    self.waits_s.append(time.perf_counter() - began)
                except _NOT_YET:
                    self.refused.append(began)
                await asyncio.sleep(PROBE_EVERY_S)
        finally:
            await connection.close()


async def fill(url: str, calls: int) -> None:
    """Make the basic schema with so many calls and three participants each."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute((MIGRATIONS / BASIC).read_text(encoding="utf-8"))
        await connection.execute(sql("create_users"))
        await connection.execute(sql("fill_users"))
        print(f"filling: {calls:,} calls", flush=True)
        await connection.execute(sql("fill_basic_calls"), calls)
        print(f"filling: {3 * calls:,} participants", flush=True)
        await connection.execute(sql("fill_basic_participants"))
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


async def upgrade(url: str) -> list[report.Row]:
    """Apply every file and return those that took a while, in seconds."""
    took: list[report.Row] = []
    connection = await asyncpg.connect(url)
    try:
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name == MOVES_ROWS:
                began = time.perf_counter()
                await apply_routines(connection)
                took.append({"file": "routines", "s": time.perf_counter() - began})
            began = time.perf_counter()
            async with connection.transaction():
                await connection.execute(path.read_text(encoding="utf-8"))
            seconds = time.perf_counter() - began
            if seconds >= SHOWN_FROM_S:
                print(f"{path.name}: {seconds:.1f} s", flush=True)
            took.append({"file": path.name, "s": seconds})
    finally:
        await connection.close()
    return took


async def run(calls: int, out: Path | None) -> None:
    """Fill, upgrade beside a front end, and count."""
    begun = report.conditions()
    async with database(migrated=False) as url:
        begun |= await server_conditions(url)
        await fill(url, calls)
        front_end, stop = FrontEnd(url), asyncio.Event()
        trying = asyncio.create_task(front_end.run(stop))
        began = time.perf_counter()
        took = await upgrade(url)
        whole = time.perf_counter() - began
        stop.set()
        await trying
        connection = await asyncpg.connect(url)
        counted = dict(await connection.fetchrow(sql("count_calls")) or {})
        await connection.close()
    # From before the upgrade until the first call that could be made; the basic schema takes none.
    down = [at for at in front_end.refused if at >= began]
    result: dict[str, Any] = {
        "calls": counted["calls"] - len(front_end.waits_s),
        "participants": counted["participants"],
        "whole_s": whole,
        "no_call_could_start_s": down[-1] - began + PROBE_EVERY_S if down else 0.0,
        "longest_wait_s": max(front_end.waits_s, default=0.0),
        "calls_made_meanwhile": len(front_end.waits_s),
    }
    report.show("the upgrade", [result])
    longer = [row for row in took if row["s"] >= SHOWN_FROM_S]
    if longer:
        report.show(f"files that took {SHOWN_FROM_S} s or more", longer)
    report.finish(out, "upgrade", result | {"files": took}, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("The upgrade from the basic schema, beside a front end that goes on.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="each with 3 participants")
    args = parser.parse_args()
    asyncio.run(run(args.calls, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
