"""What a batch makes of the rows: which row a call is, how it ends, and that replay is safe."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.batch import CallBatch
from db.errors import Refused
from db.events import CallStarted, Event, new_id
from db.store import Store
from tests.db.calls import at, batch, connected, ended, enlisted, leg, message, started, usage
from tests.db.rows import add_call, add_user, total_tokens
from tests.postgres import Connection

pytestmark = pytest.mark.every_postgres


@pytest.fixture
async def dsn(database_url: str) -> AsyncIterator[str]:
    """URL of a login that was only enlisted."""
    async with enlisted(database_url) as url:
        yield url


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    """A store with the worker's rights."""
    store = Store(dsn)
    yield store
    await store.close()


async def call_of(pg: Connection, call_id: UUID | None) -> dict[str, Any]:
    row = await pg.fetchrow("select * from voice_calls where id = $1", call_id)
    assert row is not None
    return dict(row)


async def apply(store: Store, *parts: CallBatch) -> UUID | None:
    """Apply a batch; return the row of its first call."""
    applied = await store.apply(list(parts))
    return applied.call_ids[parts[0].header.key]


async def pending_row(pg: Connection, session_id: str, **fields: Any) -> UUID:
    """Insert a row as the front end does before the room is there."""
    call_id = await add_call(pg)
    await pg.execute("update voice_calls set session_id = $2 where id = $1", call_id, session_id)
    for name, value in fields.items():
        await pg.execute(f"update voice_calls set {name} = $2 where id = $1", call_id, value)  # noqa: S608
    return call_id


async def snapshot(pg: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return all rows, without the times at which they were written."""
    found = {}
    for table in ("voice_calls", "call_participants", "voice_messages", "voice_usage"):
        rows = await pg.fetch(f"select * from {table} order by id")  # noqa: S608
        unlike = {"created_at", "updated_at"} if table == "voice_calls" else set()
        found[table] = [{k: v for k, v in row.items() if k not in unlike} for row in rows]
    return found


async def test_a_call_becomes_one_row_with_all_that_was_in_it(store: Store, pg: Connection) -> None:
    header = started(metadata={"campaign": 7}, agent_identity="agent-1")
    words, cost = message(tokens=12), usage(12)
    bound = usage(12, message_id=words.id)
    call_id = await apply(
        store, batch(header, leg(), connected(), cost, words, bound, ended(seconds=62, by="x"))
    )
    row = await call_of(pg, call_id)
    assert row["id"] == header.key
    assert (row["session_id"], row["room_name"]) == (header.room_name, header.room_name)
    assert (row["status"], row["end_reason"]) == ("completed", "caller_hangup")
    assert (row["duration_seconds"], row["total_tokens_used"]) == (60, 24)
    assert await pg.fetchval("select metadata from voice_calls") == (
        '{"end": {"by": "x"}, "campaign": 7}'
    )
    assert await pg.fetchval("select left_at from call_participants") == at(62)


async def test_a_taken_row_is_not_claimed_and_the_name_gets_the_sid(
    store: Store, pg: Connection
) -> None:
    first, second = started(), started()
    again = started(room_name=first.room_name)
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


@pytest.mark.parametrize("call_id", ["no uuid", "", str(uuid4())])
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


async def test_a_front_end_that_ended_first_keeps_its_end_and_gets_the_rest(
    store: Store, pg: Connection
) -> None:
    header = started()
    row = await pending_row(pg, header.room_name)
    await apply(store, batch(header, leg("a"), connected()))
    await pg.execute(
        "update voice_calls set status = 'completed', ended_at = $2 where id = $1", row, at(30)
    )
    await apply(store, batch(header, message(), usage(), ended("error", 33), first=5))
    found = await call_of(pg, row)
    assert (found["status"], found["ended_at"], found["end_reason"]) == (
        "completed",
        at(30),
        "error",
    )
    assert await total_tokens(pg, row) == 10
    assert await pg.fetchval("select left_at from call_participants") == at(30)


async def test_an_end_stays_whatever_comes_later(store: Store, pg: Connection) -> None:
    header = started()
    row = await apply(store, batch(header, connected(), ended("silence", 20)))
    await apply(store, batch(header, ended("error", 40), message(), first=9))
    await pg.execute("update voice_calls set status = 'active', ended_at = now()")
    found = await call_of(pg, row)
    assert (found["status"], found["ended_at"], found["end_reason"]) == (
        "completed",
        at(20),
        "silence",
    )
    assert await pg.fetchval("select count(*) from voice_messages") == 1


async def test_a_leg_told_after_the_end_is_closed_with_the_call(
    store: Store, pg: Connection
) -> None:
    header, late = started(), leg("late", joined_at=at(59))
    await apply(store, batch(header, ended(seconds=60)))
    await apply(store, batch(header, late, first=4))
    assert await pg.fetchval("select left_at from call_participants") == at(60)


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


async def test_an_unknown_users_id_is_kept_and_a_known_one_owns_the_call(
    store: Store, pg: Connection
) -> None:
    nobody, first, second = uuid4(), await add_user(pg, "ann"), await add_user(pg, "bob")
    legs = [
        leg("x", user_id=nobody, joined_at=at(1)),
        leg("bob", user_id=second, joined_at=at(3)),
        leg("ann", user_id=first, joined_at=at(2)),
    ]
    row = await apply(store, batch(started(), *legs))
    assert (await call_of(pg, row))["user_id"] == first
    stray = await pg.fetchrow("select user_id, metadata from call_participants order by joined_at")
    assert stray is not None
    assert tuple(stray) == (None, f'{{"userId": "{nobody}"}}')


async def test_widths_and_clocks_cost_no_row(store: Store, pg: Connection) -> None:
    header = started(agent_identity="a" * 300, room_name="r" * 4000)
    long = message(participant_identity="p" * 400, model="m" * 400, content="\N{SNOWMAN}" * 60000)
    clock = message(speech_started_at=at(-4_000_000_000), speech_ended_at=at(0))
    row = await apply(store, batch(header, leg("i" * 400, name="n" * 400), long, clock))
    assert row == header.key
    assert len((await call_of(pg, row))["session_id"]) == 255
    assert await pg.fetchval("select max(audio_duration_ms) from voice_messages") == 2147483647


async def test_a_number_too_big_refuses_the_batch_with_its_sqlstate(store: Store) -> None:
    with pytest.raises(Refused) as refused:
        await apply(store, batch(started(), message(tokens=2**31)))
    assert refused.value.sqlstate == "22003"


async def test_a_request_for_an_unknown_message_stays_unattached(
    store: Store, pg: Connection
) -> None:
    row = await apply(store, batch(started(), usage(7, message_id=uuid4())))
    assert await pg.fetchval("select message_id from voice_usage") is None
    assert row is not None
    assert await total_tokens(pg, row) == 7


def recorded_call(draw: st.DrawFn) -> tuple[CallStarted, list[Event]]:
    """Draw a call as recorders write it: rows told again and again, in any mix."""
    header = started()
    ids = [new_id() for _ in range(3)]
    events: list[Event] = []
    told: set[UUID] = set()
    for n in range(draw(st.integers(1, 12))):
        id_ = draw(st.sampled_from(ids))
        match draw(st.integers(0, 4)):
            case 0:
                gone = draw(st.sampled_from([None, at(20 + n)]))
                events.append(leg(f"who-{n}", id=_row(id_, 1), joined_at=at(n), left_at=gone))
            case 1 | 2:
                told.add(id_)
                events.append(message(f"turn {n}", id=id_, tokens=n, interrupted=n % 2 == 0))
            case 3:
                bound = id_ if id_ in told else None
                events.append(usage(n, id=_row(id_, 2), message_id=bound, model=f"m-{n}"))
            case 4:
                events.append(connected(n))
    if draw(st.booleans()):
        place = draw(st.integers(max(0, len(events) - 2), len(events)))
        events.insert(place, ended(draw(st.sampled_from(["caller_hangup", "error"]))))
    return header, events


def _row(id_: UUID, kind: int) -> UUID:
    return UUID(int=id_.int ^ kind)


histories = st.composite(recorded_call)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(call=histories(), data=st.data())
async def test_any_batching_and_any_replay_gives_the_rows_of_one_batch(
    store: Store, pg: Connection, call: tuple[CallStarted, list[Event]], data: st.DataObject
) -> None:
    header, events = call
    parts: list[tuple[int, int]] = []
    done = 0
    while done < len(events):
        if data.draw(st.booleans()):  # a restart: again from the start of the file
            parts.append((0, data.draw(st.integers(0, done))))
        end = data.draw(st.integers(done + 1, len(events)))
        parts.append((done, end))
        done = end
    parts += [(0, len(events))] * data.draw(st.integers(0, 2))
    rows = []
    for way in ([(0, len(events))], parts):
        await pg.execute("truncate voice_calls cascade")
        for start, end in way:
            await store.apply([batch(header, *events[start:end], first=3 + start)])
        rows.append(await snapshot(pg))
    assert rows[1] == rows[0]
