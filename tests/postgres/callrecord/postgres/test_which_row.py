"""Which row a job's call is: claims, re-dispatch, deleted calls, and all of it at once."""

import asyncio

import asyncpg
import pytest

from callrecord.postgres.store import Store
from tests.postgres.applied import apply, call_of, pending_row
from tests.postgres.rows import add_user
from tests.postgres.server import Connection, as_user
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started, usage


async def test_a_taken_row_is_not_claimed_and_the_name_gets_the_sid(
    store: Store, pg: Connection
) -> None:
    first, second = started(), started()
    again = started(room_name=first.room_name, room_sid=f"{first.room_sid}z")  # after the first
    ids = (await store.apply([batch(first), batch(second), batch(again)])).call_ids
    assert len(set(ids.values())) == 3
    row = await call_of(pg, ids[again.key])
    assert (row["session_id"], row["room_name"]) == (
        f"{first.room_name}@{again.room_sid}",
        first.room_name,
    )


async def test_somebody_who_takes_both_names_keeps_nothing_from_being_stored(
    store: Store, pg: Connection
) -> None:
    header = started(call_id=None)
    await pending_row(pg, header.room_name, room_sid="RM_other")
    await pending_row(pg, f"{header.room_name}@{header.room_sid}", room_sid="RM_another")
    assert await apply(store, batch(header, message())) == header.key


async def test_the_front_ends_row_is_claimed_by_call_id_and_by_name(
    store: Store, pg: Connection
) -> None:
    by_name = started()
    row = await pending_row(pg, by_name.room_name)
    assert await apply(store, batch(by_name, connected())) == row
    assert (await call_of(pg, row))["status"] == "active"
    named = await pending_row(pg, "another-name")
    assert await apply(store, batch(started(call_id=str(named)))) == named


async def test_nobody_waits_under_the_name_of_somebodys_room(store: Store, pg: Connection) -> None:
    """A row that a user made himself is found by callId alone, which a server has signed."""
    eve = await add_user(pg, "eve")
    theirs, hers = started(), started(room_name=f"call-{eve}-1764060000000")
    insert = """
    insert into voice_calls (user_id, session_id, room_name) values ($1, $2, 'r') returning id
    """
    async with as_user(pg, eve):
        trap = await pg.fetchval(insert, eve, theirs.room_name)
        own = await pg.fetchval(insert, eve, hers.room_name)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pg.execute("update voice_calls set made_by = 'postgres'")
    assert await apply(store, batch(theirs, message("a secret"))) == theirs.key
    assert await apply(store, batch(hers, message("a secret"))) == hers.key
    async with as_user(pg, eve):
        assert await pg.fetch("select from voice_messages") == []
    names = dict(map(tuple, await pg.fetch("select id, session_id from voice_calls")))
    assert names.pop(trap).startswith(f"{theirs.room_name}@")
    assert names.pop(own).startswith(f"{hers.room_name}@")
    assert names == {theirs.key: theirs.room_name, hers.key: hers.room_name}
    signed = started(room_name=hers.room_name, call_id=str(own))
    assert await apply(store, batch(signed, message())) == own


async def test_who_takes_a_name_meanwhile_gives_it_back_to_the_call_of_the_room(
    store: Store, pg: Connection
) -> None:
    """Eve takes Ann's name after Ann; the room's signed callId decides."""
    ann, eve = await add_user(pg, "ann"), await add_user(pg, "eve")
    insert = """
    insert into voice_calls (user_id, session_id, room_name) values ($1, 'dm', 'r') returning id
    """
    async with as_user(pg, ann):
        call = await pg.fetchval(insert, ann)
    async with as_user(pg, eve):
        trap = await pg.fetchval(insert, eve)
    assert await apply(store, batch(started(room_name="dm", call_id=str(call)), message())) == call
    names = dict(map(tuple, await pg.fetch("select id, session_id from voice_calls")))
    assert names.pop(trap).startswith("dm@")
    assert names == {call: "dm"}


@pytest.mark.parametrize("call_id", ["no uuid", "", "01a20650-a8d2-7616-a934-2540a468c500"])
async def test_a_call_id_that_is_nobodys_makes_a_new_row(
    store: Store, pg: Connection, call_id: str
) -> None:
    header = started(call_id=call_id)
    assert await apply(store, batch(header)) == header.key
    assert await pg.fetchval("select count(*) from voice_calls") == 1


@pytest.mark.parametrize("by", ["call_id", "name"])
async def test_a_row_that_ended_before_our_room_was_made_is_another_call(
    store: Store, pg: Connection, by: str
) -> None:
    row = await pending_row(pg, "the-room", ended_at=at(-10), status="completed")
    header = started(room_name="the-room", call_id=str(row) if by == "call_id" else None)
    assert await apply(store, batch(header)) == header.key


async def test_a_row_claimed_by_another_room_session_is_another_call(
    store: Store, pg: Connection
) -> None:
    row = await pending_row(pg, "the-room")
    first, second = (started(room_name="the-room", call_id=str(row)) for _ in range(2))
    assert await apply(store, batch(first)) == row
    assert await apply(store, batch(second)) == second.key
    assert await apply(store, batch(first, message())) == row


async def test_two_connections_that_claim_one_row_at_once_get_one_row_each(
    dsn: str, pg: Connection
) -> None:
    stores = [Store(dsn) for _ in range(4)]
    for n in range(10):
        row = await pending_row(pg, f"room-{n}")
        headers = [started(room_name=f"room-{n}", call_id=str(row)) for _ in stores]
        ids = await asyncio.gather(
            *(apply(each, batch(header)) for each, header in zip(stores, headers, strict=True))
        )
        assert ids.count(row) == 1
        assert len(set(ids)) == 4
    for each in stores:
        await each.close()


async def test_four_jobs_that_make_one_room_sessions_row_at_once_share_it(
    dsn: str, pg: Connection
) -> None:
    stores = [Store(dsn) for _ in range(4)]
    for n in range(10):
        headers = [started(room_name=f"room-{n}", room_sid=f"RM_{n}", at=at(i)) for i in range(4)]
        ids = await asyncio.gather(
            *(
                apply(each, batch(header, message(), message()))
                for each, header in zip(stores, headers, strict=True)
            )
        )
        assert len(set(ids)) == 1
        assert (await call_of(pg, ids[0]))["job_id"] == headers[-1].job_id
    for each in stores:
        await each.close()
    assert await pg.fetchval("select count(*) from voice_messages") == 80


async def test_two_batches_over_the_same_calls_in_opposite_order_do_not_deadlock(
    dsn: str, pg: Connection
) -> None:
    stores = [Store(dsn), Store(dsn)]
    headers = [started() for _ in range(20)]
    await stores[0].apply([batch(header) for header in headers])
    for n in range(15):
        await asyncio.gather(
            stores[0].apply([batch(h, message(), first=10 * n) for h in headers]),
            stores[1].apply([batch(h, message(), first=10 * n) for h in reversed(headers)]),
        )
    # New rows too: two jobs in each of the same rooms, whose keys stand in opposite order.
    for n in range(10):
        rooms = [f"RM_{n}_{i}" for i in range(10)]
        one = [started(room_name=sid, room_sid=sid) for sid in rooms]
        two = [started(room_name=sid, room_sid=sid) for sid in reversed(rooms)]
        await asyncio.gather(
            stores[0].apply([batch(h, message()) for h in one]),
            stores[1].apply([batch(h, message()) for h in two]),
        )
    for each in stores:
        await each.close()
    assert await pg.fetchval("select count(*) from voice_calls") == 20 + 100
    assert await pg.fetchval("select count(*) from voice_messages") == 2 * 15 * 20 + 200


async def test_a_newer_job_takes_over_and_the_old_ones_end_does_not_close_it(
    store: Store, pg: Connection
) -> None:
    old = started()
    new = started(room_name=old.room_name, room_sid=old.room_sid, at=at(20))
    row = await apply(store, batch(old, connected()))
    assert await apply(store, batch(new, message())) == row
    assert await apply(store, batch(old, message(), ended("worker_crashed", 15), first=4)) == row
    found = await call_of(pg, row)
    assert (found["status"], found["job_id"]) == ("active", new.job_id)
    await apply(store, batch(new, ended("agent_hangup", 50), first=4))
    found = await call_of(pg, row)
    assert (found["status"], found["ended_at"], found["end_reason"]) == (
        "completed",
        at(50),
        "agent_hangup",
    )
    assert await pg.fetchval("select count(*) from voice_messages") == 2


@pytest.mark.parametrize(("reason", "status"), [("worker_crashed", "active"), ("error", "failed")])
async def test_a_newer_job_reopens_only_a_crash(
    store: Store, pg: Connection, reason: str, status: str
) -> None:
    old = started()
    new = started(room_name=old.room_name, room_sid=old.room_sid, at=at(20))
    row = await apply(store, batch(old, connected(), ended(reason, 15)))
    await apply(store, batch(new))
    assert (await call_of(pg, row))["status"] == status
    # The old file shipped again from its start, by an adopter, changes nothing.
    await apply(store, batch(old, connected(), ended(reason, 15)))
    assert (await call_of(pg, row))["status"] == status


@pytest.mark.every_postgres
async def test_what_arrives_for_a_deleted_call_is_counted_and_gives_no_row(
    store: Store, pg: Connection
) -> None:
    header, other = started(), started()
    row = await apply(store, batch(header, message()))
    await pg.execute("delete from voice_calls where id = $1", row)
    reused = await pending_row(pg, header.room_name)  # the next call of that name
    late = batch(header, message(), leg(), usage(), ended(), first=4)
    applied = await store.apply([late, batch(other, message())])
    assert applied.call_ids == {header.key: None, other.key: other.key}
    assert applied.discarded == 4
    assert await pg.fetchval("select count(*) from voice_messages") == 1
    assert (await call_of(pg, reused))["room_sid"] is None


async def test_a_call_deleted_before_its_job_came_gives_no_row(
    store: Store, pg: Connection
) -> None:
    row = await pending_row(pg, "gone")
    await pg.execute("delete from voice_calls where id = $1", row)
    header = started(room_name="gone", call_id=str(row))
    assert await apply(store, batch(header, message())) is None
    assert await pg.fetchval("select count(*) from voice_calls") == 0
