"""A database with a year of calls, made by SQL in the order of time."""

import time
from dataclasses import dataclass

import asyncpg

from bench.sql import sql
from bench.workload import SENTENCE

PARTS = 40


@dataclass(frozen=True, slots=True)
class Year:
    """How much is in it: ten messages, two legs and fifteen requests to models a call."""

    calls: int
    users: int


async def fill(url: str, year: Year) -> None:
    """Make the rows, part by part, without the triggers, whose work they bring along."""
    connection = await asyncpg.connect(url)
    began = time.perf_counter()
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("set synchronous_commit = off")
        await connection.execute(sql("year_users"), year.users)
        await connection.execute(sql("year_part_table"))
        for part in range(PARTS):
            first, last = (year.calls * (part + n) // PARTS for n in (0, 1))
            await connection.execute("truncate part")
            await connection.execute(sql("year_part"), first + 1, last, year.calls, year.users)
            await connection.execute(sql("year_calls"))
            await connection.execute(sql("year_legs"), year.users)
            await connection.execute(sql("year_messages"), SENTENCE)
            await connection.execute(sql("year_usage"))
            print(f"filling: {last:,} calls, {time.perf_counter() - began:.0f} s", flush=True)
        print("filling: totals, vacuum analyze", flush=True)
        await connection.execute("call voice_worker.recount_usage()")
        await connection.execute("call voice_worker.recount_latency()")
        await connection.execute(sql("year_totals"))
        await connection.execute(sql("year_latencies"))
        await connection.execute("reset session_replication_role")
        await connection.execute("vacuum analyze")
        print(f"filled in {time.perf_counter() - began:.0f} s", flush=True)
    finally:
        await connection.close()
