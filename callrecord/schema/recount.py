"""Sums that triggers keep, made right again: after rows were loaded or restored beside them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from callrecord.postgres.queries import sql

BATCH: Final = 5_000
"""Calls of one transaction."""
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Recounted:
    """How far it has come: calls that were looked at, and those whose sums were wrong."""

    calls: int = 0
    changed: int = 0


async def recount_totals(connection: "asyncpg.Connection[Any]") -> None:
    """Make the sums by quarter of an hour and model equal to the rows: no writer waits for it."""
    await connection.execute(sql("recount_usage"))
    await connection.execute(sql("recount_latency"))


async def recount_calls(connection: "asyncpg.Connection[Any]") -> AsyncIterator[Recounted]:
    """Make tokens, cost and unpriced requests of each call equal to its rows.

    Each step is a transaction of its own: stopped, it can be begun again.
    """
    last: UUID | None = _FIRST
    done = Recounted()
    while last is not None:
        (row,) = await connection.fetch(sql("recount_calls"), last, BATCH)
        last = row["last_id"]
        calls = done.calls + (BATCH if last is not None else 0)
        done = Recounted(calls, done.changed + row["changed"])
        yield done
