"""Figures over many calls: equal to a plain count, by the days of a time zone, and of whom."""

import asyncpg
import pytest

from tests.postgres.db.figures import FIRST, LAST, People, add_calls, known, of_calls, of_usage
from tests.postgres.rows import add_call, add_leg
from tests.postgres.server import Connection, as_role, as_user

PERIODS = [
    ("day", "UTC"),
    ("day", "Europe/Berlin"),
    ("day", "Asia/Kathmandu"),  # 5:45 ahead
    ("week", "America/St_Johns"),  # 2:30 behind
    ("month", "Asia/Tokyo"),
]


@pytest.fixture
async def people(pg: Connection) -> People:
    return await add_calls(pg)


@pytest.mark.every_postgres
@pytest.mark.parametrize(("unit", "zone"), PERIODS)
async def test_figures_equal_a_plain_count(
    pg: Connection, people: People, unit: str, zone: str
) -> None:
    for user in (None, people.ann):
        span = (FIRST, LAST, unit, zone, user)
        rows = await pg.fetch("select * from call_statistics($1, $2, $3, $4, $5)", *span)
        expected = await of_calls(pg, unit, zone, user)
        assert expected
        assert [dict(row) for row in rows] == expected
        rows = await pg.fetch("select * from usage_statistics($1, $2, $3, $4, $5)", *span)
        names = ("period", "kind", "provider", "model")
        found = {tuple(row[name] for name in names): dict(row) for row in rows}
        assert {
            key: {name: value for name, value in row.items() if name not in names}
            for key, row in found.items()
        } == await of_usage(pg, unit, zone, user)


@pytest.mark.every_postgres
async def test_users_come_by_their_tokens(pg: Connection, people: People) -> None:
    await pg.execute("update voice_calls set total_tokens_used = 9 where user_id = $1", people.bob)
    await pg.execute("update voice_calls set total_tokens_used = 3 where user_id = $1", people.ann)
    await pg.execute("update voice_calls set total_tokens_used = 1 where user_id is null")
    span = "date '2026-01-01', date '2027-01-01'"
    rows = await pg.fetch(f"select * from user_statistics({span})")  # noqa: S608
    assert [row["user_name"] for row in rows] == ["bob", "ann", None]
    for row in rows:
        calls = await pg.fetch(
            "select * from voice_calls where user_id is not distinct from $1", row["user_id"]
        )
        assert row["calls"] == len(calls)
        assert row["total_tokens"] == sum(call["total_tokens_used"] for call in calls)
        assert row["cost"] == known(calls)
        unpriced = [c for c in calls if c["cost"] is None or c["unpriced_requests"]]
        assert row["unpriced_calls"] == len(unpriced)
    rows = await pg.fetch(f"select * from user_statistics({span}, most => 1)")  # noqa: S608
    assert [row["user_name"] for row in rows] == ["bob"]


@pytest.mark.usefixtures("people")
async def test_a_span_without_calls_has_no_rows(pg: Connection) -> None:
    for function in ("call_statistics", "usage_statistics", "user_statistics"):
        for until in ("2025-01-01", "2025-02-01"):
            query = f"select * from {function}('2025-01-01', '{until}')"  # noqa: S608
            assert await pg.fetch(query) == []


@pytest.mark.usefixtures("people")
async def test_another_unit_is_refused_with_those_there_are(pg: Connection) -> None:
    with pytest.raises(
        asyncpg.InvalidParameterValueError, match="day, week, month, quarter or year"
    ):
        await pg.fetch("select * from call_statistics('2026-01-01', '2027-01-01', 'hour')")


WHOLE = {
    "call_statistics": "select sum(calls) from call_statistics('2026-01-01', '2027-01-01')",
    "usage_statistics": "select sum(requests) from usage_statistics('2026-01-01', '2027-01-01')",
    "user_statistics": "select sum(calls) from user_statistics('2026-01-01', '2027-01-01')",
}


async def counted(conn: Connection) -> dict[str, int]:
    return {name: int(await conn.fetchval(query) or 0) for name, query in WHOLE.items()}


async def test_a_user_gets_his_own_figures_and_an_admin_all(pg: Connection, people: People) -> None:
    his = await pg.fetchval("select count(*) from voice_calls where user_id = $1", people.ann)
    of_all = {"call_statistics": 40, "usage_statistics": 80, "user_statistics": 40}
    assert await counted(pg) == of_all
    async with as_user(pg, people.root):
        assert await counted(pg) == of_all
    async with as_role(pg, "service_role", {"role": "service_role"}):
        assert await counted(pg) == of_all
    async with as_user(pg, people.ann):
        assert await counted(pg) == {
            "call_statistics": his,
            "usage_statistics": 2 * his,
            "user_statistics": his,
        }
        for function in ("call_statistics", "usage_statistics"):
            query = f"select * from {function}('2026-01-01', '2027-01-01', of_user => $1)"  # noqa: S608
            assert await pg.fetch(query, people.bob) == []


async def test_a_guest_in_a_call_is_not_told_what_it_used(pg: Connection, people: People) -> None:
    call = await pg.fetchval("select id from voice_calls where user_id = $1 limit 1", people.ann)
    await add_leg(pg, call, people.bob, "bob")
    async with as_user(pg, people.bob):
        query = "select * from usage_statistics('2026-01-01', '2027-01-01', of_user => $1)"
        assert await pg.fetch(query, people.ann) == []


@pytest.mark.usefixtures("people")
async def test_without_a_user_id_there_are_no_figures(pg: Connection) -> None:
    async with as_role(pg, "authenticated", {"role": "authenticated"}):
        assert await counted(pg) == dict.fromkeys(WHOLE, 0)
    async with as_role(pg, "anon", {"role": "anon"}):
        for query in WHOLE.values():
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.fetch(query)


@pytest.mark.usefixtures("people")
async def test_a_dashboards_role_reads_figures_and_nothing_said_or_named(pg: Connection) -> None:
    async with as_role(pg, "voice_reader", {}):
        assert (await counted(pg))["usage_statistics"] == 80
        assert await pg.fetchval("select count(duration_seconds) from voice_calls") > 0
        assert await pg.fetchval("select count(*) from voice_worker.table_sizes") > 4
        names = "select user_name from user_statistics('2026-01-01', '2027-01-01')"
        assert {row["user_name"] for row in await pg.fetch(names)} == {None}
        for statement in (
            "select content from voice_messages",
            "select transcript from voice_calls",
            "select session_id from voice_calls",
            "select * from call_analytics",
            "select room_name from voice_calls",
            "select participant_name from call_participants",
            "select metadata from voice_usage",
            "select email from users",
            "update voice_calls set status = 'failed'",
            "call voice_worker.recount_usage()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.execute(statement)


async def test_the_operator_sees_every_table_and_index(pg: Connection) -> None:
    tables = await pg.fetch("select * from voice_worker.table_sizes")
    assert {row["table_name"] for row in tables} >= {
        "public.voice_calls",
        "public.voice_messages",
        "public.call_participants",
        "public.voice_usage",
        "voice_worker.usage_totals",
    }
    assert all(row["total_bytes"] == row["table_bytes"] + row["index_bytes"] for row in tables)
    query = "select scans from voice_worker.index_usage where index_name = 'voice_calls_pkey'"
    before = await pg.fetchval(query)
    call = await add_call(pg)
    await pg.execute("set enable_seqscan = off")
    await pg.fetchval("select id from voice_calls where id = $1", call)
    await pg.execute("select pg_stat_force_next_flush()")
    assert await pg.fetchval(query) > before
