"""Calls to be counted, and a plain count of them, without any SQL of ours."""

import random
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from tests.postgres.rows import add_user
from tests.postgres.server import Connection

# Summer time begins in Berlin on the 29th.
FIRST, LAST = date(2026, 3, 27), date(2026, 4, 2)
FIGURES = (
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "total_tokens",
    "audio_ms",
    "characters",
)


@dataclass(frozen=True)
class People:
    """Two who call, and an admin."""

    ann: UUID
    bob: UUID
    root: UUID


async def add_calls(pg: Connection) -> People:
    """Forty calls from the day before FIRST to the day after LAST, with two requests each."""
    people = People(
        await add_user(pg, "ann"),
        await add_user(pg, "bob"),
        await add_user(pg, "root", role="admin"),
    )
    chance = random.Random(7)  # noqa: S311 - the same rows at every run
    begin = datetime(2026, 3, 26, tzinfo=UTC)
    for number in range(40):
        created = begin + timedelta(hours=chance.uniform(0, 9 * 24))
        status = chance.choice(["completed", "completed", "failed", "active"])
        call = await pg.fetchval(
            """
            insert into voice_calls
                (user_id, session_id, room_name, status, created_at, ended_at, cost)
            values ($1, $2, 'r', $3, $4, $5, $6) returning id
            """,
            chance.choice([people.ann, people.bob, None]),
            f"call-{number}",
            status,
            created,
            None if status == "active" else created + timedelta(seconds=chance.randrange(600)),
            chance.choice([None, Decimal("0.02")]),
        )
        for kind in ("llm", "tts"):
            await pg.execute(
                """
                insert into voice_usage (
                    call_id, kind, provider, model, input_tokens, output_tokens, total_tokens,
                    audio_ms, characters, cost, created_at
                )
                values ($1, $2, $3, $4, $5, 7, $5 + 7, $6, $7, $8, $9)
                """,
                call,
                kind,
                chance.choice([None, "openai"]),
                chance.choice(["small", "large"]),
                chance.randrange(100),
                None if kind == "llm" else 900,
                None if kind == "llm" else 30,
                chance.choice([None, Decimal("0.001")]),
                created + timedelta(minutes=chance.uniform(0, 50)),
            )
    return people


def period(at: datetime, unit: str, zone: str) -> date:
    day = at.astimezone(ZoneInfo(zone)).date()
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def within(at: datetime, zone: str) -> bool:
    return FIRST <= at.astimezone(ZoneInfo(zone)).date() < LAST


def percentile(values: list[int], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def of_calls(pg: Connection, unit: str, zone: str, user: UUID | None) -> list[dict[str, Any]]:
    """Return what call_statistics has to answer."""
    groups: dict[date, list[asyncpg.Record]] = defaultdict(list)
    for row in await pg.fetch("select * from voice_calls"):
        if within(row["created_at"], zone) and user in (None, row["user_id"]):
            groups[period(row["created_at"], unit, zone)].append(row)
    found = []
    for day, rows in sorted(groups.items()):
        lasted = [r["duration_seconds"] for r in rows if r["duration_seconds"] is not None]
        failed = sum(r["status"] == "failed" for r in rows)
        ended = failed + sum(r["status"] == "completed" for r in rows)
        found.append(
            {
                "period": day,
                "calls": len(rows),
                "completed": ended - failed,
                "failed": failed,
                "failure_rate": pytest.approx(failed / ended) if ended else None,
                "total_s": sum(lasted),
                "average_s": pytest.approx(statistics.mean(lasted)) if lasted else None,
            }
            | {f"p{n}_s": pytest.approx(percentile(lasted, n)) for n in (50, 90, 95, 99)}
        )
    return found


Key = tuple[Any, ...]


async def of_usage(
    pg: Connection, unit: str, zone: str, user: UUID | None
) -> dict[Key, dict[str, Any]]:
    """Return what usage_statistics has to answer, by period, kind, provider and model."""
    groups: dict[Key, list[asyncpg.Record]] = defaultdict(list)
    for row in await pg.fetch(
        "select u.*, c.user_id from voice_usage u join voice_calls c on c.id = u.call_id"
    ):
        if within(row["created_at"], zone) and user in (None, row["user_id"]):
            day = period(row["created_at"], unit, zone)
            groups[day, row["kind"], row["provider"], row["model"]].append(row)
    return {
        key: {name: sum(r[name] or 0 for r in rows) for name in FIGURES}
        | {
            "requests": len(rows),
            "cost": known(rows),
            "unpriced_requests": sum(r["cost"] is None for r in rows),
        }
        for key, rows in groups.items()
    }


def known(rows: Iterable[asyncpg.Record]) -> Decimal | None:
    costs = [row["cost"] for row in rows if row["cost"] is not None]
    return sum(costs, Decimal()) if costs else None
