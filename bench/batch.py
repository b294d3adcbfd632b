"""`python -m bench.batch`: what a row costs inside the database's `apply_batch`, in CPU time.

The backend's own CPU time, by the kernel's scheduler (`/proc/PID/schedstat`, so on Linux, and with
Postgres on this machine), so that neither the disk nor other work on the machine is in it. Calls go
on: each batch brings more of calls that are there. Of several databases, such as one of an earlier
schema, each shape is measured in turns, so that figures stand side by side in one run.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from bench import report
from bench.database import database, server_conditions
from bench.sql import sql
from bench.workload import call_events, header, message, requests
from callrecord.events import Event
from callrecord.outbox.reader import Entry
from callrecord.postgres.batch import CallBatch, to_json
from callrecord.postgres.queries import sql as statement

Connection = asyncpg.Connection
Shape = Callable[[int], list[Event]]
BATCH = 200
CALLS = 4
"""Calls that share a batch, as on a busy worker."""


def messages(events: int) -> list[Event]:
    """Turns alone."""
    return [message(number) for number in range(events)]


def mixture(events: int) -> list[Event]:
    """Turns with their model requests, each of which has a price."""
    made: list[Event] = []
    for number in itertools.count():
        turn = message(number)
        made += [turn, *requests(turn)]
        if len(made) >= events:
            break
    return made[:events]


def whole_calls(events: int) -> list[Event]:
    """A call from its beginning to its end, so with its transcript."""
    return call_events(events - 2)


SHAPES: dict[str, tuple[Shape, int]] = {
    f"messages, {BATCH} a batch": (messages, BATCH),
    f"messages and priced requests, {BATCH} a batch": (mixture, BATCH),
    "one event a batch": (messages, 1),
    "whole calls with their ends, 100 events each": (whole_calls, 100),
}


class Target:
    """One database, with calls that go on."""

    def __init__(self, connection: Connection, pid: int) -> None:
        self._connection = connection
        self._pid = pid
        self._sequence = itertools.count(1)
        self._calls = [header() for _ in range(CALLS)]

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator["Target"]:
        """Connect, and make the calls."""
        connection = await asyncpg.connect(url)
        try:
            target = cls(connection, await connection.fetchval("select pg_backend_pid()"))
            await target._apply([CallBatch(each, []) for each in target._calls])
            yield target
        finally:
            await connection.close()

    async def measure(self, shape: Shape, events: int, batches: int) -> tuple[float, float]:
        """Apply so many batches.

        Returns:
            Microseconds of the backend's CPU a row, and milliseconds by the clock a batch.
        """
        await self._connection.execute(sql("tend_tables"))
        made = [self._batch(shape, events) for _ in range(batches)]
        cpu, clock = self._cpu_ns(), time.perf_counter()
        for batch in made:
            await self._apply(batch)
        spent = self._cpu_ns() - cpu
        took = time.perf_counter() - clock
        return spent / 1000 / (batches * events), took * 1000 / batches

    async def rows(self) -> dict[str, int]:
        """Return how many rows there are."""
        counts = ("count_messages", "count_usage")
        return {name: await self._connection.fetchval(sql(name)) for name in counts}

    def _batch(self, shape: Shape, events: int) -> list[CallBatch]:
        if shape is whole_calls:
            return [CallBatch(header(), self._entries(shape(events)))]
        share = max(1, events // CALLS)
        some = self._calls[: max(1, events // share)]
        return [CallBatch(each, self._entries(shape(share))) for each in some]

    def _entries(self, events: list[Event]) -> list[Entry]:
        return [Entry(event, next(self._sequence), 0, b"") for event in events]

    async def _apply(self, batch: list[CallBatch]) -> None:
        await self._connection.fetchval(statement("apply_batch"), to_json(batch))

    def _cpu_ns(self) -> int:
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0])


async def measure(targets: dict[str, Target], batches: int, rounds: int) -> list[report.Row]:
    """Measure each shape on each database in turn; the median of the rounds."""
    found: list[report.Row] = []
    for name, (shape, events) in SHAPES.items():
        costs: dict[str, list[tuple[float, float]]] = {target: [] for target in targets}
        times = batches if events > 1 else batches * 10
        for _ in range(rounds):
            for label, target in targets.items():
                costs[label].append(await target.measure(shape, events, times))
        first = 0.0
        for label, values in costs.items():
            cpu = statistics.median(cost for cost, _ in values)
            first = first or cpu
            found.append(
                {
                    "batch": name,
                    "database": label,
                    "CPU us a row": cpu,
                    "of the first": cpu / first,
                    "ms a batch": statistics.median(took for _, took in values),
                }
            )
    return found


async def run(beside: list[str], batches: int, rounds: int, out: Path | None) -> None:
    """Measure this schema, and those of other databases beside it."""
    begun = report.conditions()
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(database())
        begun |= await server_conditions(own)
        urls = {f"beside {number}": url for number, url in enumerate(beside, 1)}
        targets = {
            label: await stack.enter_async_context(Target.at(url))
            for label, url in (urls | {"this schema": own}).items()
        }
        rows = await measure(targets, batches, rounds)
        counts: list[dict[str, Any]] = [await target.rows() for target in targets.values()]
    if any(each != counts[0] for each in counts):
        print(f"the databases hold different numbers of rows: {counts}")
    report.show(f"apply_batch, {batches} batches a round, median of {rounds} rounds", rows)
    report.finish(out, "batch", {"rows": rows}, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("CPU time of a row inside apply_batch.")
    parser.add_argument("--batches", type=int, default=50, help="of each shape and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", action="append", default=[], metavar="URL", help="a database")
    args = parser.parse_args()
    asyncio.run(run(args.beside, args.batches, args.rounds, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
