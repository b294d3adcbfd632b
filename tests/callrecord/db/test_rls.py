"""Who may read and write what, over the same road as PostgREST: a role and claims."""

from dataclasses import dataclass
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.callrecord.db.rows import add_call, add_leg, add_message, add_usage, add_user
from tests.postgres import Connection, as_role, as_user

pytestmark = pytest.mark.every_postgres

TABLES = ("voice_calls", "voice_messages", "call_participants", "voice_usage")
VIEWS = ("active_calls_summary", "call_analytics")


@dataclass(frozen=True)
class People:
    """Ann owns a call, Bob is in it, Eve has nothing to do with it, Root is an admin."""

    ann: UUID
    bob: UUID
    eve: UUID
    root: UUID
    call: UUID


@pytest.fixture
async def people(pg: Connection) -> People:
    ann, bob, eve = [await add_user(pg, name) for name in ("ann", "bob", "eve")]
    root = await add_user(pg, "root", role="admin")
    call = await add_call(pg, ann, "active")
    await add_leg(pg, call, ann, "ann")
    await add_leg(pg, call, bob, "bob")
    message = await add_message(pg, call, "assistant", tokens=5)
    await add_usage(pg, call, message, tokens=5)
    await add_call(pg, eve)
    return People(ann, bob, eve, root, call)


async def seen(conn: Connection, call: UUID) -> dict[str, int]:
    counts = {}
    for name in TABLES + VIEWS:
        column = "id" if name in {"voice_calls", *VIEWS} else "call_id"
        counts[name] = await conn.fetchval(
            f"select count(*) from {name} where {column} = $1",  # noqa: S608 - names of this file
            call,
        )
    return counts


async def test_each_sees_the_calls_he_owns_or_takes_part_in(pg: Connection, people: People) -> None:
    everything = {
        "voice_calls": 1,
        "voice_messages": 1,
        "call_participants": 2,
        "voice_usage": 1,
        "active_calls_summary": 1,
        "call_analytics": 1,
    }
    expected = {
        people.ann: everything,
        people.bob: everything | {"voice_usage": 0},
        people.eve: dict.fromkeys(everything, 0),
        people.root: everything,
    }
    for person, counts in expected.items():
        async with as_user(pg, person):
            assert await seen(pg, people.call) == counts


async def test_the_older_form_of_claims_is_understood(pg: Connection, people: People) -> None:
    async with as_role(pg, "authenticated", {}):
        await pg.execute("select set_config('request.jwt.claim.sub', $1, false)", str(people.ann))
        assert (await seen(pg, people.call))["voice_calls"] == 1


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
        assert row["total_tokens_used"] == 3
        assert await pg.execute("delete from voice_calls where id = $1", call) == "DELETE 1"


async def test_nobody_adds_himself_to_somebodys_call(pg: Connection, people: People) -> None:
    for person in (people.eve, people.bob):
        async with as_user(pg, person):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await add_leg(pg, people.call, person, "me")
    async with as_user(pg, people.ann):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await add_leg(pg, people.call, people.eve, "somebody else's leg")


async def test_nobody_speaks_for_the_agent(pg: Connection, people: People) -> None:
    for person, role in product((people.ann, people.bob, people.eve), ("assistant", "system")):
        async with as_user(pg, person):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await add_message(pg, people.call, role)


async def test_messages_are_added_by_those_in_the_call_alone(
    pg: Connection, people: People
) -> None:
    for person in (people.ann, people.bob):
        async with as_user(pg, person):
            await add_message(pg, people.call)
    async with as_user(pg, people.eve):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await add_message(pg, people.call)


async def test_a_user_cannot_distort_the_total(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        for tokens in (-1, 1_000_001):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await add_message(pg, people.call, tokens=tokens)


async def test_what_belongs_to_others_is_not_changed_or_deleted(
    pg: Connection, people: People
) -> None:
    for person in (people.bob, people.eve):
        async with as_user(pg, person):
            for name in ("voice_calls", "voice_messages", "call_participants"):
                column = "id" if name == "voice_calls" else "call_id"
                of_call = f"where {column} = $1"
                for statement in (
                    f"update {name} set metadata = '{{}}' {of_call}",  # noqa: S608
                    f"delete from {name} {of_call}",  # noqa: S608
                ):
                    assert (await pg.execute(statement, people.call)).endswith(" 0"), statement


WORKERS_COLUMNS = (
    "total_tokens_used = 0",
    "cost = 0",
    "room_sid = 'RM_x'",
    "user_id = null",
    "session_id = 'other'",
    "end_reason = 'silence'",
    "duration_seconds = 1",
    "created_at = now()",
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


async def test_users_see_themselves_alone(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        assert [row["name"] for row in await pg.fetch("select name from users")] == ["ann"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pg.execute("update users set role = 'admin'")


CLOSED = (
    "select * from voice_worker.workers",
    "select * from voice_worker.tombstones",
    "select voice_worker.user_exists(gen_random_uuid())",
    "select voice_worker.user_is_admin(gen_random_uuid())",
    "select voice_worker.enlist('authenticated')",
    "select voice_worker.uuid_v7()",
    "select voice_access.is_admin()",
    "select * from voice_access.visible_user(gen_random_uuid())",
    "select * from voice_access.calls_taken_part_in()",
    "call voice_worker.schema_reached(99, 99)",
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
    }
    definers = [row for row in rows if row["prosecdef"]]
    assert definers
    assert all(row["proconfig"] == ['search_path=""'] for row in definers)
