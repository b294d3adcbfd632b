"""Finding calls, as the owner, as a signed-in user and with the worker's login."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.reading import (
    active_calls,
    call_by_session,
    calls_of_user,
    find_call,
    get_call,
    newest_calls,
)
from tests.postgres.rows import add_call, add_leg, add_user
from tests.postgres.server import Connection, as_user


@pytest.fixture
async def worker(dsn: str) -> AsyncIterator[Connection]:
    """A connection of the worker's login."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def named(pg: Connection, session_id: str, room_sid: str | None = None) -> UUID:
    call_id = await add_call(pg)
    update = "update voice_calls set session_id = $2, room_sid = $3 where id = $1"
    await pg.execute(update, call_id, session_id, room_sid)
    return call_id


@pytest.mark.every_postgres
async def test_a_call_is_found_by_its_id_and_its_session(pg: Connection) -> None:
    call_id = await named(pg, "room-1", "RM_1")
    call = await get_call(pg, call_id)
    assert call is not None
    assert (call.id, call.session_id, call.status, call.metadata) == (
        *(call_id, "room-1", "pending"),
        {},
    )
    assert await call_by_session(pg, "room-1") == call
    assert await get_call(pg, uuid4()) is None
    assert await call_by_session(pg, "RM_1") is None


async def test_a_name_is_an_id_then_a_session_then_a_room_sid(pg: Connection) -> None:
    first = await named(pg, "room-1", "RM_1")
    second = await named(pg, str(first), "room-1")
    third = await named(pg, "RM_1", str(second))
    for name, expected in ((str(first), first), ("room-1", first), ("RM_1", third)):
        call = await find_call(pg, name)
        assert call is not None
        assert call.id == expected
    await pg.execute("delete from voice_calls where id <> $1", third)
    call = await find_call(pg, str(second))
    assert call is not None
    assert call.id == third
    assert await find_call(pg, "nowhere") is None


async def test_calls_come_newest_first_and_by_user_and_status(pg: Connection) -> None:
    ann, bob = await add_user(pg, "ann"), await add_user(pg, "bob")
    owners = (ann, "active"), (bob, "pending"), (ann, "pending"), (ann, "active")
    made = [await add_call(pg, user, status) for user, status in owners]
    assert [call.id for call in await newest_calls(pg)] == made[::-1]
    assert [call.id for call in await newest_calls(pg, limit=2)] == [made[3], made[2]]
    pending = await newest_calls(pg, status="pending")
    assert [call.id for call in pending] == [made[2], made[1]]
    of_ann = await newest_calls(pg, user_id=ann, status="active")
    assert [call.id for call in of_ann] == [made[3], made[0]]
    assert [call.id for call in await calls_of_user(pg, ann)] == [made[3], made[2], made[0]]
    assert [call.id for call in await calls_of_user(pg, ann, limit=1)] == [made[3]]
    assert await calls_of_user(pg, uuid4()) == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('["a"]', {"value": ["a"]}),
        ('"text"', {"value": "text"}),
        (None, None),
    ],
)
async def test_metadata_is_a_dict_whatever_the_connection_decodes(
    pg: Connection, written: str | None, read: object
) -> None:
    call_id = await add_call(pg)
    await pg.execute("update voice_calls set metadata = $2 where id = $1", call_id, written)
    found = [await get_call(pg, call_id)]
    await pg.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    found.append(await get_call(pg, call_id))
    assert [call and call.metadata for call in found] == [read, read]


async def test_a_number_that_python_does_not_take_stays_text(pg: Connection) -> None:
    call_id = await add_call(pg)
    await pg.execute("update voice_calls set metadata = '1e5000' where id = $1", call_id)
    call = await get_call(pg, call_id)
    assert call is not None
    assert call.metadata is not None
    assert isinstance(call.metadata["value"], str)


async def test_json_of_any_depth_can_be_read_and_written_again(pg: Connection) -> None:
    """Python 3.13 takes ten times the depth that 3.12 does; what it does not take stays text."""
    call_id = await add_call(pg)
    deep = f"{'[' * 2000}{']' * 2000}"
    await pg.execute("update voice_calls set metadata = $2 where id = $1", call_id, deep)
    call = await get_call(pg, call_id)
    assert call is not None
    assert call.metadata is not None
    value = call.metadata["value"]
    assert (value if isinstance(value, str) else json.dumps(value)) == deep


@pytest.mark.every_postgres
async def test_active_calls_name_users_to_those_who_may_see_them(
    pg: Connection, worker: Connection
) -> None:
    ann, bob = await add_user(pg, "ann"), await add_user(pg, "bob")
    older, call_id = await add_call(pg, ann, "active"), await add_call(pg, ann, "active")
    await add_call(pg, ann)
    for identity in ("bob", "ann", "bob"):  # bob's first stay is not closed yet
        await add_leg(pg, call_id, bob if identity == "bob" else ann, identity)
    left = await add_leg(pg, call_id, None, "eve")
    await pg.execute("update call_participants set left_at = now() where id = $1", left)
    # By the clock of a transaction both started at once.
    await pg.execute("update voice_calls set started_at = created_at where status = 'active'")
    full = await active_calls(pg)
    assert [call.id for call in full] == [call_id, older]
    assert [call.participants for call in full] == [["ann", "bob"], []]
    assert [call.participant_count for call in full] == [2, 0]
    assert {(call.user_name, call.user_email) for call in full} == {("ann", "ann@example.org")}
    nameless = [replace(call, user_name=None, user_email=None) for call in full]
    assert await active_calls(worker) == nameless
    async with as_user(pg, ann):
        assert await active_calls(pg) == full
    async with as_user(pg, bob):
        assert await active_calls(pg) == nameless[:1]


async def test_row_level_security_hides_other_peoples_calls(
    pg: Connection, worker: Connection
) -> None:
    ann, bob = await add_user(pg, "ann"), await add_user(pg, "bob")
    call_id = await add_call(pg, ann)
    call = await get_call(pg, call_id)
    assert call is not None
    async with as_user(pg, ann):
        assert await get_call(pg, call_id) == call
        assert await calls_of_user(pg, ann) == await newest_calls(pg) == [call]
    async with as_user(pg, bob):
        assert await get_call(pg, call_id) is None
        assert await find_call(pg, call.session_id) is None
        assert await calls_of_user(pg, ann) == await newest_calls(pg) == []
    assert await find_call(worker, call.session_id) == call


async def test_a_pool_does_as_well_as_a_connection(dsn: str, pg: Connection) -> None:
    call_id = await add_call(pg)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        call = await get_call(pool, call_id)
        async with pool.acquire() as connection:
            assert await newest_calls(connection) == [call]
