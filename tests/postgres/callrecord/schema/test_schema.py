"""What the schema holds, and whether a worker and a schema fit each other."""

from collections.abc import Awaitable

import asyncpg
import pytest

from callrecord.postgres.schema_version import (
    SCHEMA_VERSION_NEEDED,
    NotEnlisted,
    SchemaTooOld,
    WorkerTooOld,
    check,
)
from callrecord.schema.migrate import MIGRATIONS
from tests.postgres.server import Connection, as_role

pytestmark = pytest.mark.every_postgres

OURS = ("voice_calls", "voice_messages", "call_participants", "voice_usage")
# Interface of the seed's front end: name and type of each of its columns.
SEED_COLUMNS = {
    "voice_calls": """
        id uuid, user_id uuid, session_id character varying(255), room_name character varying(255),
        status call_status, started_at timestamptz, connected_at timestamptz, ended_at timestamptz,
        duration_seconds integer, recording_url text, transcript text, ai_agent_used boolean,
        agent_identity character varying(255), metadata jsonb, total_tokens_used integer,
        created_at timestamptz, updated_at timestamptz""",
    "voice_messages": """
        id uuid, call_id uuid, role message_role, content text, audio_url text,
        audio_duration_ms integer, timestamp timestamptz, sequence_number integer,
        tokens_used integer, model_used character varying(100), metadata jsonb""",
    "call_participants": """
        id uuid, call_id uuid, user_id uuid, participant_identity character varying(255),
        participant_name character varying(255), participant_type character varying(50),
        joined_at timestamptz, left_at timestamptz, duration_seconds integer, is_muted boolean,
        metadata jsonb""",
    "active_calls_summary": """
        id uuid, session_id character varying(255), room_name character varying(255), user_id uuid,
        user_name text, user_email text, status call_status, started_at timestamptz,
        ai_agent_used boolean, participant_count bigint, participants text[]""",
    "call_analytics": """
        id uuid, session_id character varying(255), user_id uuid, status call_status,
        duration_seconds integer, ai_agent_used boolean, total_tokens_used integer,
        message_count bigint, user_message_count bigint, assistant_message_count bigint,
        created_at timestamptz, ended_at timestamptz""",
}
# What the README states of the tables that are made for calls.
COUNTS = {"tables": 4, "indexes": 17, "policies": 25, "triggers": 32, "views": 4}


async def test_the_seeds_columns_keep_their_names_and_types(pg: Connection) -> None:
    for relation, columns in SEED_COLUMNS.items():
        rows = await pg.fetch(
            """
            select attname, format_type(atttypid, atttypmod) as type from pg_attribute
            where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
            """,
            relation,
        )
        found = {row["attname"]: row["type"] for row in rows}
        for column in columns.replace("timestamptz", "timestamp with time zone").split(","):
            name, _, kind = column.strip().partition(" ")
            assert found[name] == kind


async def test_the_schema_holds_what_the_readme_counts(pg: Connection) -> None:
    row = await pg.fetchrow(
        """
        select
            (select count(*) from pg_tables where tablename = any ($1)) as tables,
            (select count(*) from pg_indexes where tablename = any ($1)) as indexes,
            (select count(*) from pg_policies where tablename = any ($1)) as policies,
            (select count(*) from pg_trigger
                where tgrelid::regclass::text = any ($1) and not tgisinternal) as triggers,
            (select count(*) from pg_views where schemaname = 'public') as views
        """,
        list(OURS),
    )
    assert row is not None
    assert dict(row) == COUNTS


async def test_row_level_security_is_on_and_views_have_the_readers_rights(pg: Connection) -> None:
    assert await pg.fetchval(
        "select bool_and(relrowsecurity) from pg_class where oid = any ($1::text[]::regclass[])",
        list(OURS),
    )
    options = await pg.fetch(
        """
        select reloptions from pg_class
        where relkind = 'v' and relnamespace = 'public'::regnamespace
        """
    )
    assert [row["reloptions"] for row in options] == [["security_invoker=true"]] * COUNTS["views"]


async def test_ids_are_version_7_and_follow_time(pg: Connection) -> None:
    early = await pg.fetchval("select voice_worker.uuid_v7()")
    late = await pg.fetchval("select voice_worker.uuid_v7() from pg_sleep(0.002)")
    assert early.version == late.version == 7
    assert early < late
    now = await pg.fetchval("select extract(epoch from clock_timestamp()) * 1000")
    assert abs((late.int >> 80) - int(now)) < 2000


async def test_the_worker_is_written_for_the_version_that_is_stated(pg: Connection) -> None:
    row = await pg.fetchrow("select version, oldest_worker from voice_worker.schema_version")
    assert row is not None
    assert tuple(row) == (SCHEMA_VERSION_NEEDED, 60)
    newest = max(int(path.name[:3]) for path in MIGRATIONS.glob("*.sql"))
    assert newest <= SCHEMA_VERSION_NEEDED


async def test_a_fitting_schema_passes(pg: Connection) -> None:
    await check(pg)
    await pg.execute("update voice_worker.schema_version set version = 999")
    await check(pg)  # newer, and still serving this worker


async def one_line(checking: Awaitable[None], error: type[Exception], part: str) -> None:
    with pytest.raises(error) as caught:
        await checking
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_older_schema_is_refused_with_the_command_that_helps(pg: Connection) -> None:
    await pg.execute("update voice_worker.schema_version set version = 20")
    await one_line(check(pg), SchemaTooOld, "uv run python -m db migrate")
    await pg.execute("delete from voice_worker.schema_version")
    await one_line(check(pg), SchemaTooOld, "uv run python -m db migrate")


async def test_an_empty_database_is_refused_with_the_command_that_helps(
    empty_database_url: str,
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        await one_line(check(connection), SchemaTooOld, "uv run python -m db migrate")
    finally:
        await connection.close()


async def test_a_schema_that_moved_on_asks_for_a_newer_worker(pg: Connection) -> None:
    await pg.execute("update voice_worker.schema_version set version = 999, oldest_worker = 999")
    await one_line(check(pg), WorkerTooOld, "newer worker")


async def test_a_login_that_was_not_enlisted_is_told_how(pg: Connection) -> None:
    async with as_role(pg, "anon", {}):
        await one_line(check(pg), NotEnlisted, "voice_worker.enlist")
    async with as_role(pg, "voice_worker", {}):
        await check(pg)
