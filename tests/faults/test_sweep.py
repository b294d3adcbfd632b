"""Workers that are lost: their calls end, and come back to life with them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from callrecord.events import CallConnected, CallEnded, CallStarted
from callrecord.postgres.store import Store
from callrecord.postgres.workers import Swept, Workers
from tests.faults.heartbeats import LIMIT_S, about, beaten, silent, watching
from tests.postgres.applied import apply, call_of
from tests.postgres.rows import add_call, add_user
from tests.postgres.server import Connection, as_user
from tests.unit.callrecord.calls import batch, leg, message, started

OPEN_LEGS = "select count(*) from call_participants where left_at is null"


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


async def a_call(store: Store, worker_id: UUID, *events: Any, **fields: Any) -> CallStarted:
    """Record a call of five minutes ago, with a caller in it."""
    header = started(worker_id=worker_id, at=ago(300), room_created_at=ago(301), **fields)
    here = leg(joined_at=ago(299))
    await apply(store, batch(header, here, CallConnected(at=ago(298)), *events))
    return header


async def lost_call(
    store: Store, workers: Workers, pg: Connection, *events: Any, **fields: Any
) -> tuple[CallStarted, UUID]:
    """Record a call whose worker is lost, and sweep it; return it and the worker's id."""
    worker_id = await beaten(workers)
    header = await a_call(store, worker_id, *events, **fields)
    await silent(pg, worker_id, 2 * LIMIT_S)
    assert await swept(workers, pg) == {worker_id: 1}
    return header, worker_id


async def swept(workers: Workers, pg: Connection) -> dict[UUID, int]:
    found = await workers.sweep(await watching(workers, pg))
    assert found.state == "swept"
    return found.lost


async def end_of(pg: Connection, header: CallStarted) -> tuple[Any, ...]:
    row = await call_of(pg, await pg.fetchval(ROW, header.room_sid))
    return row["status"], row["end_reason"], row["ended_at"], row["swept_at"]


ROW = "select id from voice_calls where room_sid = $1"


@pytest.mark.every_postgres
async def test_14_calls_of_a_lost_worker_end_when_it_was_heard_of_last(
    store: Store, workers: Workers, pg: Connection
) -> None:
    gone, here = await beaten(workers), await beaten(workers)
    quiet = await a_call(store, gone)
    talked = await a_call(store, gone, message(at=(late := ago(70))))
    waits = started(worker_id=gone, at=ago(300))
    await apply(store, batch(waits))
    alive = await a_call(store, here)
    heard = await silent(pg, gone, 2 * LIMIT_S)
    assert await swept(workers, pg) == {gone: 3}
    assert await end_of(pg, quiet) == ("failed", "worker_lost", heard, heard)
    assert await end_of(pg, talked) == ("failed", "worker_lost", late, late)
    assert await end_of(pg, waits) == ("failed", "worker_lost", heard, heard)
    assert await end_of(pg, alive) == ("active", None, None, None)
    closed = await pg.fetch("select left_at from call_participants where closed_by_sweep")
    assert sorted(row["left_at"] for row in closed) == sorted([heard, late])
    assert await pg.fetchval(OPEN_LEGS) == 1
    told = await pg.fetchrow(
        "select lost_at, swept_calls from voice_worker.workers where id=$1", gone
    )
    assert told is not None
    assert told["lost_at"] is not None
    assert told["swept_calls"] == 3
    assert await swept(workers, pg) == {}


async def test_14_a_limit_is_the_longer_one_of_both(
    store: Store, workers: Workers, pg: Connection
) -> None:
    """Neither a hasty sweeper nor one that has not watched for long enough ends a call."""
    patient = await beaten(workers, lost_after_s=10 * LIMIT_S)
    await a_call(store, patient)
    await silent(pg, patient, 5 * LIMIT_S)
    assert await swept(workers, pg) == {}
    await silent(pg, patient, 11 * LIMIT_S)
    assert await swept(workers, pg) == {}
    sweeper = await watching(workers, pg, 11 * LIMIT_S)
    assert (await workers.sweep(sweeper)).lost == {patient: 1}


async def test_15_a_worker_that_was_only_cut_off_revives_its_calls(
    store: Store, workers: Workers, pg: Connection
) -> None:
    left = leg("left before", joined_at=ago(200), left_at=ago(190))
    header, worker_id = await lost_call(store, workers, pg, left)
    assert await workers.beat(about(worker_id))  # it learns that it was taken for lost
    assert not await workers.beat(about(worker_id))
    await apply(store, batch(header, message("I am still here", at=ago(1)), first=9))
    assert await end_of(pg, header) == ("active", None, None, None)
    assert await pg.fetchval(OPEN_LEGS) == 1
    await apply(store, batch(header, CallEnded(at=(at := ago(0)), end_reason="silence"), first=12))
    assert await end_of(pg, header) == ("completed", "silence", at, None)
    times = await pg.fetch("select left_at from call_participants order by left_at")
    assert [row["left_at"] for row in times] == [left.left_at, at]


async def test_15_a_worker_that_died_comes_back_with_the_true_end(
    store: Store, workers: Workers, pg: Connection
) -> None:
    header, _ = await lost_call(store, workers, pg)
    crashed = CallEnded(at=(at := ago(100)), end_reason="worker_crashed")
    for _ in range(2):  # shipped twice changes nothing
        await apply(store, batch(header, message("last words", at=ago(110)), crashed, first=9))
        assert await end_of(pg, header) == ("failed", "worker_crashed", at, None)
    assert await pg.fetchval("select left_at from call_participants") == at


async def test_15_a_call_that_nobody_had_joined_waits_again(
    store: Store, workers: Workers, pg: Connection
) -> None:
    worker_id = await beaten(workers)
    header = started(worker_id=worker_id, at=ago(300))
    await apply(store, batch(header))
    await silent(pg, worker_id, 2 * LIMIT_S)
    assert await swept(workers, pg) == {worker_id: 1}
    await apply(store, batch(header))
    assert await end_of(pg, header) == ("pending", None, None, None)


async def test_34_sweepers_that_meet_end_each_call_once(
    dsn: str, store: Store, workers: Workers, pg: Connection
) -> None:
    lost = [await beaten(workers) for _ in range(4)]
    for worker_id in lost:
        await apply(store, *(batch(started(worker_id=worker_id, at=ago(300))) for _ in range(10)))
        await silent(pg, worker_id, 2 * LIMIT_S)
    sweepers = [Workers(dsn) for _ in range(4)]
    ids = [await watching(each, pg) for each in sweepers]
    found: list[Swept] = []
    for _ in range(3):
        found += await asyncio.gather(
            *(each.sweep(worker_id) for each, worker_id in zip(sweepers, ids, strict=True))
        )
    for each in sweepers:
        await each.close()
    assert {each.state for each in found} <= {"swept", "another"}
    ended = [item for each in found for item in each.lost.items()]
    assert sorted(ended) == sorted((worker_id, 10) for worker_id in lost)
    assert await pg.fetchval("select count(*) from voice_calls where status <> 'failed'") == 0


async def test_34_while_one_sweeps_another_does_not(workers: Workers, pg: Connection) -> None:
    sweeper = await watching(workers, pg)
    async with pg.transaction():
        taken = "select pg_try_advisory_xact_lock(hashtext('voice_worker'), hashtext('sweep'))"
        assert await pg.fetchval(taken)
        assert (await workers.sweep(sweeper)).state == "another"
    assert (await workers.sweep(sweeper)).state == "swept"


async def test_35_a_call_that_is_written_to_just_now_is_left_alone(
    store: Store, workers: Workers, pg: Connection
) -> None:
    worker_id = await beaten(workers)
    header, other = await a_call(store, worker_id), await a_call(store, worker_id)
    sweeper = await watching(workers, pg)
    await silent(pg, worker_id, 2 * LIMIT_S)
    async with pg.transaction():
        await pg.execute("select from voice_calls where room_sid = $1 for update", header.room_sid)
        assert (await workers.sweep(sweeper)).lost == {worker_id: 1}
    assert (await end_of(pg, header))[0] == "active"
    assert (await end_of(pg, other))[0] == "failed"


async def test_35_a_heartbeat_that_is_written_just_now_counts(
    store: Store, workers: Workers, pg: Connection
) -> None:
    worker_id = await beaten(workers)
    header = await a_call(store, worker_id)
    await silent(pg, worker_id, 2 * LIMIT_S)
    sweeper = await watching(workers, pg)
    async with pg.transaction():
        await silent(pg, worker_id, 0)
        assert (await workers.sweep(sweeper)).lost == {}
    assert (await workers.sweep(sweeper)).lost == {}
    assert (await end_of(pg, header))[0] == "active"


async def test_35_sweeps_among_live_batches_and_heartbeats_never_deadlock_nor_win(
    dsn: str, store: Store, workers: Workers, pg: Connection
) -> None:
    """A worker that looks lost each time goes on with all of its calls."""
    worker_id = await beaten(workers)
    headers = [await a_call(store, worker_id) for _ in range(8)]
    sweeper = await watching(workers, pg)
    beats = Workers(dsn)
    ended = 0
    await silent(pg, worker_id, 2 * LIMIT_S)
    assert (await workers.sweep(sweeper)).lost == {worker_id: 8}
    for n in range(20):
        await silent(pg, worker_id, 2 * LIMIT_S)
        turns = [batch(header, message(at=ago(0)), first=10 + n) for header in headers]
        found, *_ = await asyncio.gather(
            workers.sweep(sweeper),
            apply(store, *(turns if n % 2 else turns[::-1])),
            beats.beat(about(worker_id)),
        )
        ended += sum(found.lost.values())
    await beats.close()
    await apply(store, *(batch(header, first=40) for header in headers))
    statuses = await pg.fetch("select distinct status::text, ended_at, swept_at from voice_calls")
    assert [tuple(row) for row in statuses] == [("active", None, None)]
    assert await pg.fetchval("select count(*) from voice_messages") == 8 * 20
    assert await pg.fetchval(OPEN_LEGS) == 8
    assert ended > 0, "no sweep has met a call"


async def test_46_after_an_absence_of_postgres_nobodys_live_calls_are_swept(
    store: Store, workers: Workers, pg: Connection
) -> None:
    one, other = await watching(workers, pg), await watching(workers, pg)
    header = await a_call(store, other)
    for worker_id in (one, other):
        await silent(pg, worker_id, 10 * LIMIT_S)
    assert (await workers.sweep(one)).state == "watching"  # its own heart has not beaten yet
    await beaten(workers, one)
    found = await workers.sweep(one)  # the first that is back sees all others silent
    assert found.state == "watching"
    assert found.seconds is not None
    assert LIMIT_S - 10 < found.seconds <= LIMIT_S
    assert await workers.end_unserved(one, [uuid4()], 0) == 0
    assert (await end_of(pg, header))[0] == "active"
    # An absence that is shorter than the limit is one too: who is back late must not pay for it.
    other = await watching(workers, pg)
    await silent(pg, other, LIMIT_S / 3 + 5)
    await beaten(workers, other)
    assert (await workers.sweep(other)).state == "watching"


async def test_50_a_front_end_that_ended_a_swept_call_is_right(
    store: Store, workers: Workers, pg: Connection
) -> None:
    user = await add_user(pg, "ann")
    row = await add_call(pg, user)
    header, _ = await lost_call(store, workers, pg, call_id=str(row))
    at = ago(30)
    async with as_user(pg, user):
        end = "update voice_calls set status = 'completed', ended_at = $2 where id = $1"
        await pg.execute(end, row, at)
    assert await end_of(pg, header) == ("completed", None, at, None)
    late = message("what the worker still had", at=ago(60))
    crashed = CallEnded(at=ago(1), end_reason="worker_crashed")
    await apply(store, batch(header, late, crashed, first=9))
    assert await end_of(pg, header) == ("completed", "worker_crashed", at, None)
    assert await pg.fetchval("select count(*) from voice_messages") == 1
    async with as_user(pg, user):
        await pg.execute(end, row, ago(0))
    assert (await end_of(pg, header))[2] == at  # an end that is no guess stays


async def test_50_other_changes_of_a_front_end_do_not_revive_it(
    store: Store, workers: Workers, pg: Connection
) -> None:
    user = await add_user(pg, "ann")
    row = await add_call(pg, user)
    header, _ = await lost_call(store, workers, pg, call_id=str(row))
    before = await end_of(pg, header)
    async with as_user(pg, user):
        await pg.execute("update voice_calls set status = 'active' where id = $1", row)
        await pg.execute("update voice_calls set status = 'failed' where id = $1", row)
        await pg.execute("update voice_calls set transcript = 'words' where id = $1", row)
    assert await end_of(pg, header) == before
    await apply(store, batch(header, first=9))
    assert (await end_of(pg, header))[0] == "active"


async def test_49_a_newer_job_takes_a_swept_call_over_and_keeps_it(
    store: Store, workers: Workers, pg: Connection
) -> None:
    old, _ = await lost_call(store, workers, pg)
    worker_id = await beaten(workers)
    new = started(room_name=old.room_name, room_sid=old.room_sid, worker_id=worker_id, at=ago(20))
    await apply(store, batch(new, leg(joined_at=ago(19))))
    assert await end_of(pg, old) == ("active", None, None, None)
    assert await pg.fetchval(OPEN_LEGS) == 1, "the old job's leg stays as the sweep closed it"
    crashed = CallEnded(at=ago(130), end_reason="worker_crashed")
    await apply(store, batch(old, message("left over", at=ago(131)), crashed, first=9))
    assert await end_of(pg, old) == ("active", None, None, None)
    await apply(store, batch(new, CallEnded(at=(at := ago(0)), end_reason="room_closed"), first=9))
    assert await end_of(pg, old) == ("completed", "room_closed", at, None)
