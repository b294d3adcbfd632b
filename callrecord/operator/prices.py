"""Loads the prices of models into `model_prices`, and recomputes the costs of requests."""

import csv
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, get_args
from uuid import UUID

import asyncpg

from callrecord.errors import Stop
from callrecord.postgres.queries import sql
from callrecord.schema.recount import recount_calls

UNITS: Final = (
    "input_token",
    "cached_input_token",
    "cache_creation_token",
    "output_token",
    "input_audio_token",
    "cached_audio_token",
    "output_audio_token",
    "character",
    "audio_second",
    "session_second",
    "request",
)
BATCH: Final = 5_000
"""Requests per transaction."""
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one unit of one model, from a day on.

    Attributes:
        price: The price of `per` units, in `currency`.
        valid_from: First day (UTC).
        source: Where it is published.
        source_date: When it was read there.
    """

    provider: str
    model: str
    unit: str
    price: Decimal
    per: int = 1
    currency: str = "USD"
    valid_from: date = date(1970, 1, 1)
    source: str | None = None
    source_date: date | None = None

    def __post_init__(self) -> None:
        """Raise Stop if a value is invalid."""
        if self.unit not in UNITS:
            raise Stop(f"unit {self.unit!r}: must be one of {', '.join(UNITS)}")
        if not self.price.is_finite() or self.price < 0:
            raise Stop(f"price {self.price}: must be a number, zero or more")
        if self.per <= 0:
            raise Stop(f"per {self.per}: must be the number of units the price is for, above 0")


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress: requests that were checked, requests that changed, calls that were checked."""

    requests: int = 0
    changed: int = 0
    calls: int = 0


def read_prices(path: Path) -> list[Price]:
    """Read a CSV file whose columns are named like the fields of `Price`.

    Raises:
        Stop: It can't be read, or a line has an invalid price.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = enumerate(csv.DictReader(file), 2)
            return [_price(row, f"{path} line {number}") for number, row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Stop(f"{path}: {error}") from error


async def save(
    connection: "asyncpg.Connection[Any]", prices: Iterable[Price], *, replace: bool
) -> int:
    """Store prices, all or none; return how many are new or changed.

    Args:
        connection: A connection of a login that may write prices.
        prices: The prices to store.
        replace: Replace prices of the same day.
    """
    stored = 0
    async with connection.transaction():
        for price in prices:
            values = [getattr(price, field.name) for field in fields(price)]
            stored += await connection.fetchval(sql("set_price"), *values, replace) is not None
    return stored


async def recompute(
    connection: "asyncpg.Connection[Any]",
    *,
    since: date | None = None,
    until: date | None = None,
    model: str | None = None,
) -> AsyncIterator[Progress]:
    """Recompute the costs of these days' requests (`until` not included), then of all calls.

    Each step is a separate transaction and is yielded when it is done, so the run can be stopped
    and started again.
    """
    begin = _midnight(since) if since else datetime.min.replace(tzinfo=UTC)
    end = _midnight(until) if until else datetime.max.replace(tzinfo=UTC)
    requests = changed = 0
    last: UUID | None = _FIRST
    while last is not None:
        (row,) = await connection.fetch(sql("reprice"), last, begin, end, model, BATCH)
        last = row["last_id"]
        requests, changed = requests + row["looked_at"], changed + row["changed"]
        yield Progress(requests, changed)
    async for calls in recount_calls(connection):
        yield Progress(requests, changed, calls.calls)


def _price(row: dict[str, str | None], place: str) -> Price:
    known = {field.name: field.type for field in fields(Price)}
    given = {name: (text or "").strip() for name, text in row.items() if name in known}
    try:
        return Price(**{n: _value(known[n], text) for n, text in given.items() if text})
    except TypeError as error:
        raise Stop(f"{place}: {str(error).partition(') ')[2] or error}") from error
    except (ValueError, InvalidOperation, Stop) as error:
        raise Stop(f"{place}: {error}") from error


def _value(kind: Any, text: str) -> Any:
    wanted = next((each for each in get_args(kind) if each is not type(None)), kind)
    return date.fromisoformat(text) if wanted is date else wanted(text)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
