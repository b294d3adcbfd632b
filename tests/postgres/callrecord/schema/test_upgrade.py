"""From the basic schema to the enhanced one, with all that is in it."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from callrecord.schema.migrate import MIGRATIONS, MOVES_ROWS, migrate
from callrecord.schema.set_aside import drop_before
from tests.postgres.callrecord.schema.by_psql import (
    FILES,
    PSQL_ROUTINES,
    UNINSTALL,
    apply_with_psql,
)
from tests.postgres.callrecord.schema.catalogue import catalogue
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.server import Connection, as_user, psql
from tests.waiting import until

pytestmark = pytest.mark.every_postgres

BASIC = MIGRATIONS / "010_voice_calls.sql"

BASIC_COLUMNS = {
    "voice_calls": [
        *("id", "room_name", "caller_id", "callee_id", "call_type", "status", "started_at"),
        *("connected_at", "ended_at", "duration_seconds", "recording_url", "transcript"),
        *("metadata", "created_at"),
    ],
    "call_participants": [
        *("id", "call_id", "user_id", "participant_name", "joined_at", "left_at"),
        *("duration_seconds", "is_muted"),
    ],
}
# A basic row as it was, and the same from the enhanced row: what has no column is in metadata, and
# an end that the upgrade guessed is no value of the old row.
CALLS_BEFORE = """
select id, room_name, lower(caller_id) as caller_id, lower(callee_id) as callee_id, call_type,
    status, started_at, connected_at, ended_at, duration_seconds, recording_url, transcript,
    coalesce(metadata, '{}') as metadata, created_at
from voice_calls
"""
CALLS_AFTER = """
select v.id, v.room_name, coalesce(v.user_id::text, ours ->> 'caller_id') as caller_id,
    coalesce(v.callee_id::text, ours ->> 'callee_id') as callee_id,
    ours ->> 'call_type' as call_type,
    coalesce(ours ->> 'basic_status', v.status::text) as status, v.started_at, v.connected_at,
    case when v.swept_at is null then v.ended_at end as ended_at,
    coalesce(
        (ours ->> 'basic_duration_seconds')::int,
        case when v.swept_at is null then v.duration_seconds end
    ) as duration_seconds,
    v.recording_url, v.transcript,
    case when v.metadata ? 'basic_schema' then v.metadata - 'basic_schema'
        when v.metadata ? 'metadata' then v.metadata -> 'metadata'
        else v.metadata - array['caller_id', 'callee_id', 'call_type', 'basic_status',
            'basic_duration_seconds'] end as metadata,
    v.created_at
from voice_calls v cross join lateral (
    select coalesce(v.metadata -> 'basic_schema', v.metadata) as ours
) o
"""
LEGS_BEFORE = """
select id, call_id, user_id, participant_name, joined_at, left_at, duration_seconds, is_muted
from call_participants
"""
LEGS_AFTER = """
select (metadata ->> 'basic_id')::int as id, call_id,
    coalesce(user_id::text, metadata ->> 'userId') as user_id, participant_name, joined_at,
    case when not closed_by_sweep then left_at end as left_at,
    coalesce(
        (metadata ->> 'basic_duration_seconds')::int,
        case when not closed_by_sweep then duration_seconds end
    ) as duration_seconds,
    is_muted
from call_participants
"""
CHECKSUM = "select count(*), md5(string_agg(t::text, '|' order by id)) from ({}) t"
Sums = list[tuple[int, str]]


async def sums(conn: Connection, *queries: str) -> Sums:
    rows = [await conn.fetchrow(CHECKSUM.format(query)) for query in queries]
    return [tuple(row) for row in rows if row is not None]


@pytest.fixture
async def basic(empty_database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with the basic schema, rows in it, and users of the team's own."""
    apply_seed(empty_database_url, "users")
    psql(empty_database_url, "-f", str(BASIC))
    apply_seed(empty_database_url, "basic_rows")
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def test_the_basic_schema_is_as_documented(empty_database_url: str) -> None:
    psql(empty_database_url, "-f", str(BASIC))
    connection = await asyncpg.connect(empty_database_url)
    try:
        columns = await connection.fetch(
            """
            select table_name, array_agg(column_name::text order by ordinal_position) as columns
            from information_schema.columns where table_schema = 'public' group by 1
            """
        )
        assert {row["table_name"]: row["columns"] for row in columns} == BASIC_COLUMNS
        indexes = await connection.fetch(
            "select indexname from pg_indexes where indexname like 'idx%' order by 1"
        )
        assert [row["indexname"] for row in indexes] == [
            "idx_call_participants_call",
            "idx_call_participants_user",
            "idx_voice_calls_callee",
            "idx_voice_calls_caller",
            "idx_voice_calls_created",
            "idx_voice_calls_status",
        ]
        nothing_else = """
        select count(*) from pg_namespace n
        where nspname not like 'pg%' and nspname not in ('public', 'information_schema')
        """
        assert await connection.fetchval(nothing_else) == 0
    finally:
        await connection.close()


async def test_no_row_and_no_value_is_lost(basic: Connection, empty_database_url: str) -> None:
    """Counts and checksums of all values, before and after; a call without a duration gets one."""
    await basic.execute(
        """
        create temp table known_durations as
        select id from voice_calls where duration_seconds is not null or ended_at is null
        """
    )
    known = " where id in (select id from known_durations)"
    before = await sums(basic, CALLS_BEFORE + known, LEGS_BEFORE)
    await migrate(empty_database_url)
    assert await sums(basic, CALLS_AFTER + known, LEGS_AFTER) == before
    assert [count for count, _ in await sums(basic, CALLS_AFTER, LEGS_AFTER)] == [240, 720]


async def test_what_was_mapped(basic: Connection, empty_database_url: str) -> None:
    await migrate(empty_database_url)
    statuses = await basic.fetch(
        """
        select coalesce(metadata -> 'basic_schema', metadata) ->> 'basic_status' as before,
            status::text, end_reason, count(*) from voice_calls group by 1, 2, 3 order by 2, 1
        """
    )
    assert [tuple(row) for row in statuses] == [
        ("connected", "active", None, 4),
        (None, "completed", None, 40),
        ("connected", "failed", "not_served", 36),
        ("missed", "failed", "missed", 40),
        (None, "failed", None, 40),
        ("ringing", "pending", None, 40),
        (None, "pending", None, 40),
    ]
    row = await basic.fetchrow(
        """
        select count(*) filter (where user_id is not null) as owned,
            count(*) filter (where callee_id is not null) as called,
            count(*) filter (where session_id = 'support') as newest,
            count(*) filter (where session_id = 'support@' || id) as older,
            count(distinct session_id) as names
        from voice_calls
        """
    )
    assert row is not None
    assert dict(row) == {"owned": 130, "called": 60, "newest": 1, "older": 23, "names": 240}
    late = "select id from voice_calls where room_name = 'support' order by created_at desc limit 1"
    assert await basic.fetchval(late) == await basic.fetchval(
        "select id from voice_calls where session_id = 'support'"
    )


async def test_legs_are_time_ordered_and_belong_to_users(
    basic: Connection, empty_database_url: str
) -> None:
    await migrate(empty_database_url)
    legs = await basic.fetch("select * from call_participants order by id")
    # Milliseconds decide, and 240 calls began at hours of their own.
    joined = [
        leg["joined_at"].replace(microsecond=leg["joined_at"].microsecond // 1000 * 1000)
        for leg in legs
    ]
    assert joined == sorted(joined)
    assert {leg["id"].version for leg in legs} == {7}
    by_user = [leg for leg in legs if leg["user_id"] is not None]
    assert len(by_user) == 130
    assert {str(leg["user_id"]) for leg in by_user} == {
        leg["participant_identity"] for leg in by_user
    }
    # Who was called, and never joined, reads the call as well.
    called = await basic.fetchrow(
        """
        select callee_id, count(*) from voice_calls
        where callee_id is not null group by 1 order by 1
        """
    )
    assert called is not None
    async with as_user(basic, called["callee_id"]):
        seen = "select count(*) from voice_calls where callee_id = $1"
        assert await basic.fetchval(seen, called["callee_id"]) == called["count"]


async def test_the_schema_is_that_of_a_fresh_database(
    basic: Connection, empty_database_url: str, database_url: str
) -> None:
    await basic.execute("drop table users cascade")  # a fresh database has ours
    await migrate(empty_database_url)
    await drop_before(empty_database_url)
    assert await catalogue(empty_database_url) == await catalogue(database_url)
    apply_with_psql(empty_database_url)
    assert await basic.fetchval("select count(*) from voice_calls") == 240
    assert await catalogue(empty_database_url) == await catalogue(database_url)


async def test_what_refers_to_a_call_still_does(basic: Connection, empty_database_url: str) -> None:
    """A table of the team's own keeps its foreign key, with the new rows."""
    await basic.execute(
        """
        create table invoices (call_id uuid references voice_calls (id) on delete cascade);
        insert into invoices select id from voice_calls limit 5;
        alter table voice_calls add column tenant text;
        update voice_calls set tenant = 'acme';
        """
    )
    await migrate(empty_database_url)
    assert (
        await basic.fetchval(
            "select count(*) from voice_calls where metadata ->> 'tenant' = 'acme'"
        )
        > 0
    )
    await basic.execute("delete from voice_calls where id in (select call_id from invoices)")
    assert await basic.fetchval("select count(*) from invoices") == 0
    apply_with_psql(empty_database_url)
    assert await basic.fetchval("select count(*) from voice_calls") == 235


async def test_calls_go_on_while_rows_wait(basic: Connection, empty_database_url: str) -> None:
    """Between setting aside and bringing over, a front end starts a call in a room used before.

    The routines come before the rows, as `db migrate` has it.
    """
    move = MIGRATIONS / MOVES_ROWS
    tables = [path for path in FILES if path != move]
    apply_with_psql(empty_database_url, files=[*tables, PSQL_ROUTINES])
    await basic.execute(
        "insert into voice_calls (session_id, room_name) values ('support', 'Support Call')"
    )
    apply_with_psql(empty_database_url, files=[move])
    assert await basic.fetchval("select count(*) from voice_calls") == 241
    assert (
        await basic.fetchval("select room_name from voice_calls where session_id = 'support'")
        == "Support Call"
    )


async def test_a_call_that_begins_meanwhile_keeps_the_name_of_its_room(
    basic: Connection, empty_database_url: str
) -> None:
    move = MIGRATIONS / MOVES_ROWS
    tables = [path for path in FILES if path != move]
    apply_with_psql(empty_database_url, files=[*tables, PSQL_ROUTINES])
    waits = "select count(*) from pg_locks where not granted"
    async with basic.transaction():
        await basic.execute(
            "insert into voice_calls (session_id, room_name) values ('support', 'Support Call')"
        )
        moving = asyncio.create_task(
            asyncio.to_thread(apply_with_psql, empty_database_url, files=[move])
        )
        await until(lambda: basic.fetchval(waits), what="the old call of that name to wait")
    await moving
    assert await basic.fetchval("select count(*) from voice_calls") == 241
    newest = "select room_name from voice_calls where session_id = 'support'"
    assert await basic.fetchval(newest) == "Support Call"


async def test_basic_legs_beside_enhanced_calls_come_over(empty_database_url: str) -> None:
    apply_seed(empty_database_url, "users", "auth_by_hand", "enhanced", "enhanced_rows")
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            """
            drop table call_participants cascade;
            create table call_participants (call_id uuid, user_id text);
            insert into call_participants select id, 'guest' from voice_calls;
            """
        )
        await migrate(empty_database_url)
        legs = "select count(*) from call_participants where participant_identity = 'guest'"
        assert await connection.fetchval(legs) == 60
        await drop_before(empty_database_url)
        assert await connection.fetchval("select to_regnamespace('voice_before')") is None
    finally:
        await connection.close()


async def test_tables_put_back_by_hand_come_over_again(
    basic: Connection, empty_database_url: str
) -> None:
    """Also where the mark was left that they are there already."""
    await migrate(empty_database_url)
    psql(empty_database_url, "-f", str(UNINSTALL))
    await basic.execute(
        """
        drop table voice_calls, voice_messages, call_participants, voice_usage, model_prices;
        alter table voice_before.voice_calls set schema public;
        alter table voice_before.call_participants set schema public;
        """
    )
    await migrate(empty_database_url)
    counts = "select count(distinct c.id), count(*) from voice_calls c join call_participants p "
    row = await basic.fetchrow(counts + "on p.call_id = c.id")
    assert row is not None
    assert tuple(row) == (240, 720)
