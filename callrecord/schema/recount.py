"""Recomputes the sums that triggers maintain, after rows were loaded or restored without them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg

from callrecord.postgres.queries import sql

BATCH: Final = 5_000
"""Calls per transaction."""
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Recounted:
    """The progress: calls that were checked, and those whose sums were wrong."""

    calls: int = 0
    changed: int = 0


async def recount_totals(connection: "asyncpg.Connection[Any]") -> None:
    """Recompute the sums per quarter of an hour and model from the rows; it blocks no writer."""
    await connection.execute(sql("recount_usage"))
    await connection.execute(sql("recount_latency"))


async def recount_calls(connection: "asyncpg.Connection[Any]") -> AsyncIterator[Recounted]:
    """Recompute each call's tokens, cost and unpriced requests from its rows.

    Each step is a separate transaction, so it can be stopped and started again.
    """
    last: UUID | None = _FIRST
    done = Recounted()
    while last is not None:
        (row,) = await connection.fetch(sql("recount_calls"), last, BATCH)
        last = row["last_id"]
        calls = done.calls + (BATCH if last is not None else 0)
        done = Recounted(calls, done.changed + row["changed"])
        yield done
