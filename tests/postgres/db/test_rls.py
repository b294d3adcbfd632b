"""What a user may do, over the same road as PostgREST: a role and claims.

Who may do what with which table: test_rls_matrix.py. Ways around it: test_rls_attacks.py.
"""

from uuid import uuid4

import asyncpg
import pytest

from tests.postgres.people import People
from tests.postgres.rows import add_call, add_leg, add_message, total_tokens
from tests.postgres.server import Connection, as_role, as_user

pytestmark = pytest.mark.every_postgres

TABLES = ("voice_calls", "voice_messages", "call_participants", "voice_usage")
VIEWS = ("active_calls_summary", "call_analytics")


async def test_the_older_form_of_claims_is_understood(pg: Connection, people: People) -> None:
    async with as_role(pg, "authenticated", {}):
        await pg.execute("select set_config('request.jwt.claim.sub', $1, false)", str(people.ann))
        assert [row["id"] for row in await pg.fetch("select id from voice_calls")] == [people.call]


@pytest.mark.usefixtures("people")
async def test_without_a_user_id_nothing_is_seen(pg: Connection) -> None:
    for name in TABLES + VIEWS:
        count = f"select count(*) from {name}"  # noqa: S608
        async with as_role(pg, "anon", {"role": "anon"}):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.fetchval(count)
        async with as_role(pg, "authenticated", {"role": "authenticated"}):
            assert await pg.fetchval(count) == 0


async def test_the_front_ends_habits_work(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        call = await add_call(pg, people.ann)
        await pg.execute(
            "update voice_calls set status = 'active', connected_at = now() where id = $1", call
        )
        await add_message(pg, call, tokens=3, number=1)
        await add_leg(pg, call, people.ann, "ann")
        await pg.execute(
            "update voice_calls set status = 'completed', ended_at = now() where id = $1", call
        )
        row = await pg.fetchrow("select * from voice_calls where id = $1", call)
        assert row is not None
        assert (row["status"], row["duration_seconds"]) == ("completed", 0)
        assert row["total_tokens_used"] == 0
        assert await pg.execute("delete from voice_calls where id = $1", call) == "DELETE 1"


async def test_a_user_cannot_distort_the_total(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        for tokens in (-1, 1, 2_000_000_000):
            await add_message(pg, people.call, tokens=tokens)
    assert await total_tokens(pg, people.call) == 5


WORKERS_COLUMNS = (
    "total_tokens_used = 0",
    "cost = 0",
    "room_sid = 'RM_x'",
    "user_id = null",
    "session_id = 'other'",
    "end_reason = 'silence'",
    "duration_seconds = 1",
    "created_at = now()",
    "callee_id = user_id",
    "made_by = 'service_role'",
)


async def test_the_workers_columns_are_not_the_users(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        for assignment in WORKERS_COLUMNS:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.execute(f"update voice_calls set {assignment}")  # noqa: S608
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pg.execute("insert into voice_usage (call_id, kind) values ($1, 'llm')", uuid4())


async def test_a_call_is_made_for_oneself_alone(pg: Connection, people: People) -> None:
    async with as_user(pg, people.eve):
        for owner in (people.ann, None):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await add_call(pg, owner)


async def test_names_and_mails_are_shown_to_oneself_and_to_admins(
    pg: Connection, people: People
) -> None:
    read = "select user_name, user_email from active_calls_summary where id = $1"
    full, hidden = ("ann", "ann@example.org"), (None, None)
    for person, shown in (
        (people.ann, full),
        (people.bob, hidden),
        (people.root, full),
    ):
        async with as_user(pg, person):
            row = await pg.fetchrow(read, people.call)
        assert row is not None
        assert tuple(row) == shown
    async with as_role(pg, "service_role", {"role": "service_role"}):
        row = await pg.fetchrow(read, people.call)
    assert row is not None
    assert tuple(row) == full
    owner = await pg.fetchrow(read, people.call)
    assert owner is not None
    assert tuple(owner) == full


CLOSED = (
    "select * from voice_worker.workers",
    "select * from voice_worker.tombstones",
    "select * from voice_worker.usage_totals",
    "select * from voice_worker.latency_totals",
    "select * from voice_worker.table_sizes",
    "select voice_worker.user_exists(gen_random_uuid())",
    "select voice_worker.user_is_admin(gen_random_uuid())",
    "select voice_worker.enlist('authenticated')",
    "select voice_worker.uuid_v7()",
    "select voice_access.is_admin()",
    "select voice_access.latency_mark(1, null)",
    "select * from voice_access.visible_user(gen_random_uuid())",
    "select * from voice_access.calls_taken_part_in()",
    "select * from voice_access.active_calls()",
    "update voice_worker.schema_version set version = 99",
    "select voice_worker.apply_batch('{}')",
    # A trigger function with its owner's rights, on a table of one's own.
    """
    create temp table mine (like voice_messages);
    create trigger mine before insert on mine
        for each row execute function voice_worker.number_message()
    """,
    "call voice_worker.recount_usage()",
)


async def test_the_private_schemas_are_closed(pg: Connection, people: People) -> None:
    async with as_user(pg, people.root):
        for statement in CLOSED:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.execute(statement)


async def test_no_function_of_ours_is_left_open_to_everybody(pg: Connection) -> None:
    rows = await pg.fetch(
        """
        select p.oid::regprocedure::text as name, p.prosecdef, p.proconfig,
            has_function_privilege('anon', p.oid, 'execute') as for_anon,
            has_function_privilege('authenticated', p.oid, 'execute') as for_users
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('voice_worker', 'voice_access')
        """
    )
    assert not [row["name"] for row in rows if row["for_anon"]]
    # Needed by a default, the policies and the views, and out of reach by name.
    assert {row["name"] for row in rows if row["for_users"]} == {
        "voice_worker.uuid_v7()",
        "voice_access.is_admin()",
        "voice_access.calls_taken_part_in()",
        "voice_access.visible_user(uuid)",
        "voice_access.active_calls()",
        "voice_access.whose_figures(uuid)",
        "voice_access.period_of(timestamp with time zone,text,text)",
        "voice_access.latency_mark(integer,jsonb)",
        "voice_access.latency_percentiles(numeric)",
    }
    definers = [row for row in rows if row["prosecdef"]]
    assert definers
    # pg_temp is named, and last: else the types of a session's temporary schema come first.
    assert all("search_path=pg_catalog, pg_temp" in row["proconfig"] for row in definers)
