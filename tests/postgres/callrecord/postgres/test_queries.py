"""Every named query has its index, and every index its named query."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from bench.named_queries import NAMED_QUERIES
from callrecord.postgres.queries import sql
from tests.postgres.server import Connection, as_user, database

pytestmark = pytest.mark.every_postgres

# Without the triggers, whose work is tested elsewhere.
FILL = """
set session_replication_role = replica;
insert into users (id, name, email)
select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'u' || n, n || '@example.org'
from generate_series(1, 100) n;
insert into users (id, name, role) values
    ('00000000-0000-4000-8000-000000000000', 'root', 'admin');
insert into voice_calls
    (user_id, session_id, room_name, status, room_sid, created_at, ended_at, duration_seconds)
select ('00000000-0000-4000-8000-' || lpad((1 + n % 100)::text, 12, '0'))::uuid, 'call-' || n, 'r',
    (case when n % 200 = 0 then 'active' when n % 10 = 0 then 'failed' else 'completed' end)
        ::call_status,
    'RM_' || n, now() - n * interval '1 hour', now(), n
from generate_series(1, 4000) n;
insert into voice_messages
    (call_id, role, content, sequence_number, tokens_used, timestamp, e2e_latency_ms, revision)
select id, case when n % 2 = 0 then 'user' else 'assistant' end::message_role, repeat('x', 80), n,
    5, created_at, 900, 1
from voice_calls, generate_series(1, 6) n;
insert into call_participants (call_id, user_id, participant_identity)
select id, user_id, 'u' from voice_calls;
insert into voice_usage (call_id, message_id, kind, model, total_tokens, created_at)
select c.id, m.id, 'llm', 'small', 5, c.created_at
from voice_calls c join voice_messages m on m.call_id = c.id and m.sequence_number = 1;
set session_replication_role = default;
call voice_worker.recount_usage();
call voice_worker.recount_latency();
vacuum analyze;
"""


@pytest.fixture(scope="module")
async def filled(postgres_server: str, migrated_template: str) -> AsyncIterator[Connection]:
    """A connection to a database with thousands of calls."""
    async with database(postgres_server, template=migrated_template) as url:
        connection = await asyncpg.connect(url)
        for statement in FILL.strip().removesuffix(";").split(";\n"):
            await connection.execute(statement)
        yield connection
        await connection.close()


async def ids(conn: Connection) -> dict[str, str]:
    row = await conn.fetchrow(
        """
        select c.id as call, c.user_id as user, m.id as message, p.id as leg, u.id as usage,
            c.session_id as session, c.room_sid as sid, current_date - 5 as day,
            date_trunc('month', current_date - interval '60 days')::date as month
        from voice_calls c join voice_messages m on m.call_id = c.id
        join call_participants p on p.call_id = c.id join voice_usage u on u.call_id = c.id
        where c.session_id = 'call-7' limit 1
        """
    )
    assert row is not None
    return {name: f"'{value}'" for name, value in row.items()}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


async def explain(conn: Connection, query: str) -> list[dict[str, Any]]:
    plan = json.loads(await conn.fetchval(f"explain (format json) {query}"))
    return list(nodes(plan[0]["Plan"]))


@pytest.mark.parametrize("name", NAMED_QUERIES)
async def test_a_named_query_uses_its_index(filled: Connection, name: str) -> None:
    query = NAMED_QUERIES[name]
    plan = await explain(filled, query.text.format(**await ids(filled)))
    assert query.index in {node.get("Index Name") for node in plan}
    scanned = {node["Relation Name"] for node in plan if node["Node Type"] == "Seq Scan"}
    assert not scanned


async def test_every_index_serves_a_named_query(filled: Connection) -> None:
    rows = await filled.fetch(
        """
        select indexname from pg_indexes
        where schemaname = 'public' and tablename not in ('users', 'model_prices')
            or tablename in ('usage_totals', 'latency_totals')
        """
    )
    assert {row["indexname"] for row in rows} == {each.index for each in NAMED_QUERIES.values()}


async def test_no_index_repeats_another(filled: Connection) -> None:
    rows = await filled.fetch(
        """
        select a.indexrelid::regclass::text as shorter, b.indexrelid::regclass::text as longer
        from pg_index a join pg_index b on a.indrelid = b.indrelid and a.indexrelid <> b.indexrelid
        where a.indrelid in (
            select oid from pg_class where relnamespace = 'public'::regnamespace
        )
        and a.indkey[0] = b.indkey[0] and a.indnkeyatts <= b.indnkeyatts
        and coalesce(pg_get_expr(a.indpred, a.indrelid), '')
            = coalesce(pg_get_expr(b.indpred, b.indrelid), '')
        """
    )
    assert [tuple(row) for row in rows] == []


async def test_policies_keep_the_index_of_a_users_own_queries(filled: Connection) -> None:
    known = await ids(filled)
    async with as_user(filled, UUID(known["user"].strip("'"))):
        for name in (
            "newest calls of a user",
            "a call by session_id",
            "messages of a call in order",
            "analytics of a user",
            "legs of a call",
            "requests of a call",
            "statistics of a user's month",
            "tokens and cost by day and model, a user's month",
            "latencies of a user's month",
        ):
            query = NAMED_QUERIES[name]
            plan = await explain(filled, query.text.format(**known))
            assert query.index in {node.get("Index Name") for node in plan}, name


async def test_policies_keep_the_index_of_an_admins_queries(filled: Connection) -> None:
    known = await ids(filled)
    async with as_user(filled, UUID("00000000-0000-4000-8000-000000000000")):
        for name in (
            "newest calls",
            "messages of a call in order",
            "analytics of a day",
            "statistics of a month",
            "tokens and cost by day and model, a month",
            "requests of a day",
        ):
            query = NAMED_QUERIES[name]
            plan = await explain(filled, query.text.format(**known))
            assert query.index in {node.get("Index Name") for node in plan}, name


async def test_the_summary_of_active_calls_needs_no_luck_with_statistics(
    filled: Connection,
) -> None:
    """After a sample without an active call half of all seem to be: few must be expected.

    That this table is read whole nevertheless tells nothing: it is small.
    """
    await filled.execute("alter table voice_calls alter status set (n_distinct = 2)")
    await filled.execute("analyze voice_calls")
    try:
        for number in (0, 1):  # an admin, a user
            async with as_user(filled, UUID(f"00000000-0000-4000-8000-00000000000{number}")):
                plan = await explain(filled, "select * from active_calls_summary")
            assert plan[0]["Plan Rows"] <= 50
    finally:
        await filled.execute("alter table voice_calls alter status reset (n_distinct)")
        await filled.execute("analyze voice_calls")


async def test_a_users_own_queries_answer_the_same_under_the_policies(filled: Connection) -> None:
    known = await ids(filled)
    query = NAMED_QUERIES["analytics of a user"].text.format(**known)
    as_owner = await filled.fetch(query)
    async with as_user(filled, UUID(known["user"].strip("'"))):
        assert await filled.fetch(query) == as_owner
        assert len(await filled.fetch("select id from voice_calls")) == len(as_owner) == 40


READING = (
    ("get_call", "{call}", "voice_calls_pkey"),
    ("call_by_session", "'call-7'", "idx_voice_calls_session_id"),
    ("find_call", "'call-7', null", "idx_voice_calls_session_id"),
    ("find_call", "'RM_7', {call}", "idx_voice_calls_room_sid"),
    ("calls_of_user", "{user}, 20", "idx_voice_calls_user_id"),
    ("newest_calls", "null, null, 20", "idx_voice_calls_created_at"),
    ("newest_calls", "{user}, null, 20", "idx_voice_calls_user_id"),
    ("newest_calls", "null, 'active', 20", "idx_voice_calls_active"),
    ("active_calls", "", "idx_voice_calls_active"),
    ("active_calls_without_users", "", "idx_voice_calls_active"),
    ("conversation", "{call}", "idx_voice_messages_call_sequence"),
    ("messages_of_call", "{call}", "idx_voice_messages_call_sequence"),
    ("legs_of_call", "{call}", "idx_call_participants_call_id"),
    ("usage_of_call", "{call}", "idx_voice_usage_call_id"),
)


@pytest.mark.parametrize(("name", "arguments", "index"), READING)
async def test_a_statement_of_the_read_functions_uses_its_index(
    filled: Connection, name: str, arguments: str, index: str
) -> None:
    values = arguments.format(**await ids(filled))
    statement = sql(name).replace("{columns}", "id")
    await filled.execute(f"prepare reading as {statement}")
    try:
        plan = await explain(filled, f"execute reading({values})" if values else "execute reading")
    finally:
        await filled.execute("deallocate reading")
    assert index in {node.get("Index Name") for node in plan}
    assert not [node for node in plan if node["Node Type"] == "Seq Scan"]
