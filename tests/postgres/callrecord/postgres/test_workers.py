"""The table of workers, and rows that nobody serves."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from callrecord.errors import Transient
from callrecord.events import COMPLETED, FAILED, TALK_ON
from callrecord.postgres.store import Store
from callrecord.postgres.workers import CHUNK, OpenLeg, Workers
from tests.faults.heartbeats import LIMIT_S, beaten, silent, watching
from tests.postgres.applied import apply, call_of
from tests.postgres.people import People
from tests.postgres.rows import add_call, add_leg, add_message
from tests.postgres.server import Connection, as_user
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started

DAY_S = 86400.0


async def row_of(pg: Connection, worker_id: UUID) -> dict[str, Any]:
    row = await pg.fetchrow("select * from voice_worker.workers where id = $1", worker_id)
    assert row is not None
    return dict(row)


@pytest.mark.every_postgres
async def test_a_heartbeat_is_the_newest_state_of_its_worker(
    workers: Workers, pg: Connection
) -> None:
    worker_id = await beaten(workers, hostname="one", backlog_events=7, uptime_s=3600.0)
    first = await row_of(pg, worker_id)
    assert first["heartbeat_at"] - first["started_at"] == timedelta(hours=1)
    await beaten(workers, worker_id, hostname="two", agent_name="robin", livekit_worker_id="AW_1")
    row = await row_of(pg, worker_id)
    assert (row["hostname"], row["agent_name"], row["livekit_worker_id"]) == (
        "two",
        "robin",
        "AW_1",
    )
    assert (row["backlog_events"], row["kind"]) == (0, "worker")
    assert row["heartbeat_at"] > first["heartbeat_at"]
    assert row["unbroken_since"] == first["unbroken_since"]


@pytest.mark.parametrize(("gap_s", "unbroken"), [(LIMIT_S / 4, True), (LIMIT_S / 2, False)])
async def test_a_gap_begins_the_watch_anew(
    workers: Workers, pg: Connection, *, gap_s: float, unbroken: bool
) -> None:
    worker_id = await watching(workers, pg)
    await silent(pg, worker_id, gap_s)
    await beaten(workers, worker_id)
    row = await row_of(pg, worker_id)
    assert (row["unbroken_since"] < row["heartbeat_at"]) is unbroken


async def test_adopted_directories_live_with_who_ships_them(
    workers: Workers, pg: Connection
) -> None:
    dead = await beaten(workers, hostname="old", backlog_events=5)
    await pg.execute("update voice_worker.workers set lost_at = now(), swept_calls = 3")
    nobodys = uuid4()
    me = await beaten(workers, adopted=[nobodys, dead], hostname="new")
    row = await row_of(pg, dead)
    assert (row["shipped_by"], row["hostname"], row["kind"]) == (me, "old", "worker")
    assert (row["lost_at"], row["swept_calls"], row["backlog_events"]) == (None, 0, 0)
    assert (await row_of(pg, nobodys))["kind"] == "outbox"
    await beaten(workers, me, adopted=[dead])
    assert (await row_of(pg, nobodys))["stopped_at"] is not None
    await beaten(workers, dead)  # its own worker has it back
    await beaten(workers, me)
    row = await row_of(pg, dead)
    assert (row["shipped_by"], row["stopped_at"]) == (None, None)


@pytest.mark.every_postgres
async def test_who_leaves_in_order_has_stopped_with_all_that_it_shipped(
    workers: Workers, pg: Connection
) -> None:
    adopted = uuid4()
    me, other = await beaten(workers, adopted=[adopted], backlog_events=2), await beaten(workers)
    await workers.leave(me)
    assert (await row_of(pg, me))["backlog_events"] == 0
    stopped = [(await row_of(pg, each))["stopped_at"] is not None for each in (me, adopted, other)]
    assert stopped == [True, True, False]
    await beaten(workers, me)
    assert (await row_of(pg, me))["stopped_at"] is None


@pytest.mark.every_postgres
async def test_old_rows_without_open_calls_go(
    store: Store, workers: Workers, pg: Connection
) -> None:
    sweeper, other = await watching(workers, pg), await beaten(workers)
    old, busy = await beaten(workers), await beaten(workers)
    await apply(store, batch(started(worker_id=busy)))
    for worker_id in (old, busy):
        await silent(pg, worker_id, 8 * DAY_S)
    await silent(pg, other, 6 * DAY_S)
    for left in ({sweeper, other, busy}, {sweeper, other}):  # the call of the busy one is swept
        ids = {row["id"] for row in await pg.fetch("select id from voice_worker.workers")}
        assert left <= ids
        await workers.sweep(sweeper)
    ids = {row["id"] for row in await pg.fetch("select id from voice_worker.workers")}
    assert ids == {sweeper, other}


async def old_call(pg: Connection, status: str = "pending", **fields: Any) -> UUID:
    """Insert a row of a front end that is an hour old."""
    call_id = await add_call(pg, None, status)
    hour = "now() - interval '1 hour'"
    await pg.execute("alter table voice_calls disable trigger voice_calls_updated_at_trigger")
    aged = f"update voice_calls set created_at = {hour}, updated_at = {hour} where id = $1"  # noqa: S608
    await pg.execute(aged, call_id)
    for name, value in fields.items():
        await pg.execute(f"update voice_calls set {name} = $2 where id = $1", call_id, value)  # noqa: S608
    await pg.execute("alter table voice_calls enable trigger voice_calls_updated_at_trigger")
    return call_id


async def test_rows_that_wait_without_a_worker_are_asked_for(
    store: Store, workers: Workers, pg: Connection
) -> None:
    waits, joined = await old_call(pg), await old_call(pg, "active")
    await old_call(pg, "active", ai_agent_used=False)  # goes on between users
    between_users = await old_call(pg, ai_agent_used=False)
    await old_call(pg, "completed")
    touched = await old_call(pg)
    await pg.execute("update voice_calls set recording_url = 'x' where id = $1", touched)
    served = await old_call(pg)
    await apply(store, batch(started(call_id=str(served))))
    await add_call(pg)
    found = await workers.unserved(1800)
    assert {row.id for row in found} == {waits, joined, between_users}
    names = await pg.fetch("select session_id from voice_calls where id = any($1)", [waits, joined])
    assert {row["session_id"] for row in names} <= {row.room for row in found}
    assert [row.id for row in found] == sorted(row.id for row in found)
    assert len(await workers.unserved(1800, found[0].id)) == 2
    assert await workers.unserved(7200) == []
    await pg.execute(
        "insert into voice_calls (session_id, room_name, created_at, updated_at) select n, n, t, t "
        "from generate_series(1, $1) n, (select now() - interval '1 hour' as t) old",
        CHUNK,
    )
    assert len(await workers.unserved(1800)) == CHUNK


@pytest.mark.every_postgres
async def test_rows_that_nobody_served_end_when_they_were_heard_of_last(
    workers: Workers, pg: Connection
) -> None:
    sweeper = await watching(workers, pg)
    waits, spoken, kept = await old_call(pg), await old_call(pg, "active"), await old_call(pg)
    await add_leg(pg, spoken, None, "ann")
    message_id = await add_message(pg, spoken)
    said = await pg.fetchval("select timestamp from voice_messages where id = $1", message_id)
    fresh = await add_call(pg)
    assert await workers.end_unserved(sweeper, [waits, spoken, fresh], 1800) == 2
    row = await call_of(pg, waits)
    assert (row["status"], row["end_reason"]) == ("failed", "not_served")
    assert row["ended_at"] == row["swept_at"] == row["created_at"]
    assert row["duration_seconds"] == 0
    assert (await call_of(pg, spoken))["ended_at"] >= said
    assert await pg.fetchval("select bool_and(closed_by_sweep) from call_participants")
    for call_id in (fresh, kept):
        assert (await call_of(pg, call_id))["status"] == "pending"
    assert await workers.end_unserved(sweeper, [waits], 0) == 0


async def test_only_who_has_watched_ends_them(workers: Workers, pg: Connection) -> None:
    row = await old_call(pg)
    for sweeper in (await beaten(workers), uuid4()):
        assert await workers.end_unserved(sweeper, [row], 1800) == 0
    assert (await call_of(pg, row))["status"] == "pending"


@pytest.mark.parametrize("by", ["call_id", "name"])
async def test_a_worker_that_served_it_all_the_same_is_right(
    store: Store, workers: Workers, pg: Connection, by: str
) -> None:
    """It was cut off from the database, or came late: the record lands in the front end's row."""
    sweeper, row = await watching(workers, pg), await old_call(pg)
    leg = await add_leg(pg, row, None, "ann")
    await pg.execute("update call_participants set joined_at = $1", at(-100))
    name = await pg.fetchval("select session_id from voice_calls where id = $1", row)
    assert await workers.end_unserved(sweeper, [row], 1800) == 1
    header = started(room_name=name, room_created_at=await pg.fetchval("select now()"))
    if by == "call_id":
        header = started(call_id=str(row), room_created_at=header.room_created_at)
    assert await apply(store, batch(header, connected(), message())) == row
    found = await call_of(pg, row)
    assert (found["status"], found["end_reason"], found["swept_at"]) == ("active", None, None)
    left = "select left_at, closed_by_sweep from call_participants where id = $1"
    assert tuple(await pg.fetchrow(left, leg) or ()) == (None, False)
    await apply(store, batch(header, ended(), first=9))
    assert (await call_of(pg, row))["end_reason"] == "caller_hangup"


@pytest.mark.parametrize("end_reason", [*COMPLETED, *FAILED])
async def test_legs_go_on_where_the_agent_alone_has_left(
    store: Store, workers: Workers, pg: Connection, end_reason: str
) -> None:
    """They end when somebody finds their people gone."""
    header, agent = started(), leg("robin", participant_type="agent", left_at=at(9))
    caller = leg("ann", sid="PA_ann")
    events = (connected(), agent, caller, ended(end_reason))
    await apply(store, batch(header, *events))
    await apply(store, batch(header, message(), first=9))  # told late: it closes nothing either
    left = "select left_at from call_participants where id = $1"
    if end_reason not in TALK_ON:
        assert await pg.fetchval(left, caller.id) is not None
        assert await workers.open_legs() == []
        return
    assert await pg.fetchval(left, caller.id) is None
    assert await workers.open_legs() == [OpenLeg(caller.id, header.room_name, "PA_ann")]
    await workers.end_legs([caller.id, agent.id])
    seconds = "select duration_seconds from call_participants where id = $1"
    assert await pg.fetchval(seconds, caller.id) > 0
    assert await pg.fetchval(left, agent.id) == at(9)
    assert await workers.open_legs() == []


async def test_the_room_of_a_leg_is_livekits_name(
    store: Store, workers: Workers, pg: Connection
) -> None:
    """Whatever the call is called, and whoever had the name before."""
    for _ in range(2):
        header = started(room_name="support")
        events = (leg("ann"), ended("transferred"))
        await apply(store, batch(header, *events))
    assert [each.room for each in await workers.open_legs()] == ["support", "support"]
    assert await pg.fetchval("select count(distinct session_id) from voice_calls") == 2


async def test_what_cannot_be_reached_is_transient() -> None:
    with pytest.raises(Transient):
        await Workers("postgresql://nobody@127.0.0.1:1/none").sweep(uuid4())


async def test_calls_of_one_user_hold_up_no_sweep_of_the_unserved(
    workers: Workers, pg: Connection, people: People
) -> None:
    """A hundred calls with 64 turns of 16 KiB each: half an hour's writing at 4 MiB a minute.

    Each statement has its answer in time, as has the heartbeat, which waits for the connection.
    """
    beat: dict[str, Any] = {
        "id": str(uuid4()), "kind": "worker", "hostname": "h", "pid": 1, "version": "1",
        "agent_name": "", "livekit_worker_id": "", "uptime_s": 999, "lost_after_s": 60,
        "backlog_events": 0, "backlog_bytes": 0, "backlog_seconds": 0, "refused_events": 0,
        "adopted": [],
    }  # fmt: skip
    await pg.execute(
        "update voice_worker.user_limits set open_calls = 1000, rows_per_minute = 1e9::bigint,"
        " bytes_per_minute = 1e12::bigint"
    )  # an hour of writing, at once
    async with as_user(pg, people.eve):
        await pg.execute(
            "insert into voice_calls (user_id, session_id, room_name) "
            "select $1, 'eve-' || n, 'r' from generate_series(1, $2) n",
            people.eve,
            CHUNK,
        )
        await pg.execute(
            "insert into voice_messages (call_id, role, content) "
            "select c.id, 'user', repeat(E'a\n', 8192) from voice_calls c, "
            "generate_series(1, 64) where c.session_id like 'eve-%'"
        )
    await pg.execute("alter table voice_calls disable trigger user")
    await pg.execute(
        "update voice_calls set created_at = now() - interval '1 h', "
        "updated_at = now() - interval '1 h' where session_id like 'eve-%'"
    )
    await pg.execute("alter table voice_calls enable trigger user")
    await workers.beat(beat)  # only now: who was silent while all that was written may not sweep
    await pg.execute("update voice_worker.workers set unbroken_since = now() - interval '1 h'")
    found = [each.id for each in await workers.unserved(900)]
    assert await workers.end_unserved(UUID(beat["id"]), found, 900) == CHUNK
