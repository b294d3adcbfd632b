"""`python -m bench.triggers`: what a message costs in a call that holds many, beside re-summing.

Three sets of triggers on one table, all else alike: none, ours (numbers, and totals by the
difference of a statement), and the row trigger of the schema this project began with, which sums
the call's messages again for each of them. The numbers are given: the others do not make them.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from bench import report
from bench.database import database, server_conditions
from bench.sql import sql
from callrecord.events import now

SIZES = (10, 100, 1_000, 10_000, 100_000)
SETS = ("none", "ours", "re-summing")
TOKENS = 5
"""Of each message, as the statements have it."""
PATIENCE_S = 60.0
"""A measurement that would take longer, by the growth of the one before, is left out."""
Connection = asyncpg.Connection


class WrongTotalError(Exception):
    """A trigger did not count every message once: its time means nothing."""


async def _connect(url: str, triggers: str) -> Connection:
    connection = await asyncpg.connect(f"{url}&synchronous_commit=off")
    await connection.execute(sql("use_triggers"), triggers)
    await connection.execute(sql("set_triggers"))
    return connection


async def _call_of(connection: Connection, messages: int) -> UUID:
    """Make a call that holds so many messages, as if they had come long ago."""
    call_id = uuid4()
    name = f"call-{call_id}"
    await connection.execute(sql("insert_call"), call_id, name, f"RM_{call_id}", now(), "AJ_bench")
    await connection.execute(sql("triggers_off"))
    await connection.execute(sql("fill_call"), call_id, 1, messages)
    await connection.execute(sql("triggers_on"))
    await connection.execute(sql("set_total"), call_id, messages * TOKENS)
    await connection.execute(sql("tend_tables"))
    return call_id


async def _check(connection: Connection, call_id: UUID, messages: int, triggers: str) -> None:
    total = await connection.fetchval(sql("total_tokens"), call_id)
    if triggers != "none" and total != messages * TOKENS:
        raise WrongTotalError(f"{triggers}: {total} tokens of {messages} messages")


async def next_message(url: str, triggers: str, held: int, times: int) -> float:
    """Return the microseconds (median) of one more message, each with its own commit."""
    connection = await _connect(url, triggers)
    try:
        call_id = await _call_of(connection, held)
        statement = await connection.prepare(sql("add_numbered_message"))
        took = []
        for number in range(held + 1, held + times + 1):
            began = time.perf_counter()
            await statement.fetch(call_id, number)
            took.append(time.perf_counter() - began)
        await _check(connection, call_id, held + times, triggers)
    finally:
        await connection.close()
    return report.percentile(took, 0.5) * 1e6


async def one_statement(url: str, triggers: str, messages: int) -> float:
    """Return the microseconds a message takes when one statement inserts them all."""
    connection = await _connect(url, triggers)
    try:
        call_id = await _call_of(connection, 0)
        began = time.perf_counter()
        await connection.execute(sql("fill_call"), call_id, 1, messages)
        took = time.perf_counter() - began
        await _check(connection, call_id, messages, triggers)
    finally:
        await connection.close()
    return took / messages * 1e6


def _rows(costs: dict[int, dict[str, float]]) -> list[report.Row]:
    smallest = costs[min(costs)]
    return [
        {
            "messages": messages,
            **{f"{name} us": cost[name] for name in SETS},
            **{f"{name}, x smallest": cost[name] / smallest[name] for name in SETS[1:]},
            "re-summing / ours": cost["re-summing"] / cost["ours"],
        }
        for messages, cost in costs.items()
    ]


async def run(sizes: list[int], times: int, out: Path | None) -> None:
    """Measure both ways at every size."""
    begun = report.conditions()
    result: dict[str, Any] = {"sizes": sizes, "times": times}
    async with database() as url:
        begun |= await server_conditions(url)
        connection = await asyncpg.connect(url)
        await connection.execute(sql("resumming_function"))
        await connection.execute(sql("resumming_trigger"))
        await connection.close()
        nexts: dict[int, dict[str, float]] = {}
        for size in sizes:
            nexts[size] = {name: await next_message(url, name, size, times) for name in SETS}
        wholes: dict[int, dict[str, float]] = {}
        for size in sizes:
            wholes[size] = {name: await _bearable(url, name, size, wholes) for name in SETS}
    for key, title, costs in (
        ("next_message", f"one more message in a call of n, p50 of the {times} that follow", nexts),
        ("one_statement", "n messages in one statement, for each", wholes),
    ):
        result[key] = _rows(costs)
        report.show(title, result[key])
    print(f"\n  -: left out, as it would have taken longer than {PATIENCE_S:.0f} s")
    report.finish(out, "triggers", result, begun)


async def _bearable(url: str, name: str, size: int, before: dict[int, dict[str, float]]) -> float:
    if before:
        last = max(before)
        # Each message of a statement costs as much more as there are more of them.
        if before[last][name] * (size / last) * size > PATIENCE_S * 1e6:
            return float("nan")
    return await one_statement(url, name, size)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("What a message costs in a long call, beside a trigger that re-sums.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--times", type=int, default=200, help="messages measured at each size")
    args = parser.parse_args()
    asyncio.run(run(sorted(args.sizes), args.times, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
