"""`python -m bench.queries`: the named queries in a database with a year of calls.

Each is asked many times with other calls, users and days: as the owner of the tables, and as
PostgREST asks for a signed-in user and for an admin. The time is the client's, over a loopback
connection: parsing, planning, the answer with all its rows.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import asyncpg

from bench import report
from bench.database import database, server_conditions
from bench.named_queries import NAMED_QUERIES, OPERATORS_QUERIES
from bench.sql import sql
from bench.year import Year, fill

ADMIN = "00000000-0000-4000-8000-000000000000"
HEAVIEST = "'00000000-0000-4000-8000-000000000001'"
"""The user who made one call in a hundred."""
WARM_UP = 20
ALL = NAMED_QUERIES | OPERATORS_QUERIES
Who = Literal["owner", "user", "admin", "heaviest user"]
Connection = asyncpg.Connection
Values = dict[str, str]

OF_HIS_CALL = ("a call by session_id", "messages of a call in order", "legs of a call")
OF_A_USER = (
    "newest calls of a user",
    "analytics of a user",
    "analytics of a user's newest 20 calls",
    "statistics of a user's month",
    "tokens and cost by day and model, a user's month",
    "latencies of a user's month",
)
OF_ALL = (
    "newest calls",
    "messages of a call in order",
    "the summary of active calls",
    "analytics of a day",
    "statistics of a day",
    "statistics of a month",
    "latencies by day and model, a month",
    "tokens and cost by day and model, a month",
    "tokens and cost by user, a month",
)
# Answered, but not as a front end should ask: a user's calls are found among everybody's.
UNFILTERED = "newest calls"


@dataclass(frozen=True, slots=True)
class Case:
    """A query and who asks it."""

    name: str
    who: Who


def cases() -> list[Case]:
    """Return what is measured, in the order of the table."""
    timed = {query.text: name for name, query in ALL.items() if query.goal_ms is not None}
    return [
        *(Case(name, "owner") for name in timed.values()),
        *(Case(name, "user") for name in OF_HIS_CALL + OF_A_USER),
        *(Case(name, "heaviest user") for name in OF_A_USER),
        *(Case(name, "admin") for name in OF_ALL),
        Case(UNFILTERED, "user"),
    ]


async def samples(connection: Connection, year: Year, runs: int) -> list[Values]:
    """Return so many sets of literals for the placeholders, and `owner` of the call."""
    rows = await connection.fetch(sql("year_sample"), runs, year.calls, year.users)
    return [dict(row) for row in rows]


async def measure(connection: Connection, case: Case, values: Sequence[Values]) -> report.Row:
    """Ask with each of the values and return the times in milliseconds and what was found."""
    query = ALL[case.name]
    took, rows = [], 0
    indexes: set[str] = set()
    await connection.execute("reset role")
    if case.who != "owner":
        await connection.execute("set role authenticated")
    for number, sample in enumerate([*values[:WARM_UP], *values]):
        await connection.execute(
            "select set_config('request.jwt.claims', $1, false)", _claims(case, sample)
        )
        text = query.text.format(**sample | _heaviest(case))
        indexes = indexes or await indexes_of(connection, text)
        began = time.perf_counter()
        found = await connection.fetch(text)
        if number >= min(WARM_UP, len(values)):
            took.append((time.perf_counter() - began) * 1000)
            rows += len(found)
    figures = report.spread(took)
    return {
        "query": case.name,
        "asked by": case.who,
        **figures,
        "goal": query.goal_ms,
        "": "" if figures["p99"] <= (query.goal_ms or 0) else "missed",
        "rows": round(rows / len(took)),
        "indexes": ", ".join(sorted(indexes)),
    }


def _claims(case: Case, sample: Values) -> str:
    asking = (sample | _heaviest(case))["owner" if case.name in OF_HIS_CALL else "user"]
    user = ADMIN if case.who == "admin" else asking.strip("'")
    return json.dumps({"sub": user, "role": "authenticated"})


def _heaviest(case: Case) -> Values:
    return {"user": HEAVIEST} if case.who == "heaviest user" else {}


async def indexes_of(connection: Connection, text: str) -> set[str]:
    """Return the names of the indexes in the query's plan, and tables that it reads whole."""
    plan = json.loads(await connection.fetchval(f"explain (format json) {text}"))
    return set(_places(plan[0]["Plan"]))


def _places(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    if plan["Node Type"] == "Seq Scan":
        yield f"all of {plan['Relation Name']}"
    for inner in plan.get("Plans", []):
        yield from _places(inner)


async def measure_all(url: str, year: Year, runs: int) -> list[report.Row]:
    """Measure every case and print it when it is done."""
    # No cache of statements: each is planned anew, as behind a pooler.
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        values = await samples(connection, year, runs)
        rows = []
        for case in cases():
            row = await measure(connection, case, values)
            print(f"{case.name}, {case.who}: p99 {row['p99']:.2f} ms", flush=True)
            rows.append(row)
        return rows
    finally:
        await connection.close()


async def run(year: Year, runs: int, out: Path | None) -> None:
    """Fill a database, measure, print and write."""
    begun = report.conditions()
    async with database() as url:
        begun |= await server_conditions(url)
        await fill(url, year)
        connection = await asyncpg.connect(url)
        counts = dict(await connection.fetchrow(sql("year_counts")) or {})
        await connection.close()
        rows = await measure_all(url, year, runs)
    report.show("what was asked", [counts])
    report.show("milliseconds", rows)
    report.finish(out, "queries", {"counts": counts, "queries": rows}, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("The named queries in a database with a year of calls.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="with 10 messages each")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=200, help="of each query")
    args = parser.parse_args()
    asyncio.run(run(Year(args.calls, args.users), args.runs, args.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
