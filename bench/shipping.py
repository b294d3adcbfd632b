"""`python -m bench.shipping`: rows a second from outbox files to Postgres, beside the plain ways.

Every way writes the same messages over one connection into the same tables, with the same
triggers and indexes. The shipper's time runs from its start to its last commit, and includes the
reading of its files and the rows of the calls; the plain ways have their rows in memory, and the
calls are there before their time begins.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from bench import report
from bench.database import database, server_conditions
from bench.sql import sql
from bench.workload import COLUMNS, call_events, header, row
from callrecord.events import CallStarted, Message
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from callrecord.shipping.shipper import Shipper

SHIP_TIMEOUT_S = 60.0
BATCH = 200
BASE_CALLS = 200
Call = tuple[CallStarted, list[Any]]
Rows = list[tuple[Any, ...]]
Connection = asyncpg.Connection


class WrongCountError(Exception):
    """A way to write did not write every row once: its time means nothing."""


def make_calls(calls: int, messages: int) -> list[Call]:
    """Return so many calls of so many messages."""
    return [(header(), call_events(messages)) for _ in range(calls)]


def rows_of(calls: list[Call]) -> Rows:
    """Return the messages of the calls as rows, call by call."""
    return [
        row(event, head.key, place)
        for head, events in calls
        for place, event in enumerate(events)
        if isinstance(event, Message)
    ]


def ship(url: str, calls: list[Call]) -> float:
    """Write the outbox files, then return the seconds the shipper takes for them."""
    with tempfile.TemporaryDirectory() as directory:
        home = OutboxHome(Path(directory))
        own = home.take()
        for head, events in calls:
            writer = OutboxWriter(own.path, head)
            for event in events:
                writer.append(event)
            writer.close()
        shipper = Shipper(home, own, url)
        began = time.perf_counter()
        shipper.start()
        done = shipper.stop(SHIP_TIMEOUT_S)
        took = time.perf_counter() - began
        own.release()
    if not done:
        raise WrongCountError(f"the shipper was not done after {SHIP_TIMEOUT_S:.0f} s")
    return took


async def by_insert(connection: Connection, rows: Rows) -> None:
    """One INSERT and one commit for each row, prepared once."""
    statement = await connection.prepare(sql("insert_message"))
    for values in rows:
        await statement.fetchrow(*values)


async def by_executemany(connection: Connection, rows: Rows) -> None:
    """Batches by executemany: pipelined INSERTs, one commit for each batch."""
    for start in range(0, len(rows), BATCH):
        await connection.executemany(sql("insert_message"), rows[start : start + BATCH])


async def by_unnest(connection: Connection, rows: Rows) -> None:
    """Batches by one INSERT from arrays each."""
    statement = await connection.prepare(sql("unnest_messages"))
    for start in range(0, len(rows), BATCH):
        columns = [list(column) for column in zip(*rows[start : start + BATCH], strict=True)]
        await statement.fetch(*columns)


async def by_copy(connection: Connection, rows: Rows) -> None:
    """One COPY of everything."""
    await connection.copy_records_to_table(
        "voice_messages", schema_name="public", records=rows, columns=COLUMNS
    )


PLAIN: dict[str, Callable[[Connection, Rows], Awaitable[None]]] = {
    "INSERT per event": by_insert,
    f"executemany of {BATCH}": by_executemany,
    f"unnest of {BATCH}": by_unnest,
    "COPY": by_copy,
}


async def plain(url: str, name: str, calls: list[Call]) -> float:
    """Return the seconds that a plain way takes for the messages of the calls."""
    connection = await asyncpg.connect(url)
    try:
        heads = [
            (head.key, head.room_name, head.room_sid, head.at, head.job_id) for head, _ in calls
        ]
        await connection.executemany(sql("insert_call"), heads)
        rows = rows_of(calls)
        began = time.perf_counter()
        await PLAIN[name](connection, rows)
        return time.perf_counter() - began
    finally:
        await connection.close()


async def measure(url: str, calls: int, messages: int, rounds: int) -> list[report.Row]:
    """Run every way in turn, in several rounds; return rows/s (median) and ratios."""
    names = ["shipper", *PLAIN]
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            made = make_calls(calls, messages)
            before = await _tended(url)
            if name == "shipper":
                took = await asyncio.to_thread(ship, url, made)
            else:
                took = await plain(url, name, made)
            wrote = await _tended(url) - before
            if wrote != calls * messages:
                raise WrongCountError(f"{name} wrote {wrote} messages of {calls * messages}")
            speeds[name].append(calls * messages / took)
    median = {name: statistics.median(values) for name, values in speeds.items()}
    return [
        {
            "way": name,
            "rows/s": median[name],
            "slowest": min(speeds[name]),
            "fastest": max(speeds[name]),
            "x INSERT": median[name] / median["INSERT per event"],
            "x COPY": median[name] / median["COPY"],
        }
        for name in names
    ]


async def _tended(url: str) -> int:
    """Count the messages, with the tables as autovacuum would leave them."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql("tend_tables"))
        return int(await connection.fetchval(sql("count_messages")))
    finally:
        await connection.close()


async def run(calls: int, messages: int, rounds: int, out: Path | None) -> None:
    """Measure with commits that wait for the disk, and with ones that do not."""
    begun = report.conditions()
    result: dict[str, Any] = {"calls": calls, "messages_per_call": messages, "rounds": rounds}
    async with database() as url:
        begun |= await server_conditions(url)
        # Into tables that hold something: statistics of empty ones lead to scans of what grows.
        await plain(url, "COPY", make_calls(BASE_CALLS, 100))
        for waits in ("on", "off"):
            rows = await measure(f"{url}&synchronous_commit={waits}", calls, messages, rounds)
            result[f"synchronous_commit_{waits}"] = rows
            report.show(
                f"rows/s, {calls} calls x {messages} messages, median of {rounds}, "
                f"synchronous_commit {waits}",
                rows,
            )
    report.finish(out, "shipping", result, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("Rows a second of the shipper, beside the plain ways to write them.")
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--messages", type=int, default=100, help="of each call")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    asyncio.run(run(args.calls, args.messages, args.rounds, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
