"""The heartbeat service beside a shipper that works, waits or stops."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from callrecord.errors import Hold, Transient
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from callrecord.postgres.store import Store
from callrecord.shipping.heartbeat import Heartbeat, Identity, Rhythm
from callrecord.shipping.shipper import Shipper
from tests.postgres.callrecord.shipping.shipping import QUICK, shipping, stored
from tests.postgres.proxy import Faults, Proxy, proxy_to
from tests.postgres.rows import add_call
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, ended, leg, message, started, write
from tests.waiting import until

RHYTHM = Rhythm(every_s=0.02, lost_after_s=0.6, not_served_min=0.001)
SLOW = Rhythm(every_s=0.02, lost_after_s=60)


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    async with proxy_to(dsn) as running:
        yield running


class Rooms:
    """LiveKit's rooms, as a test tells them; nobody is in one."""

    def __init__(self, there: Callable[[list[str]], Awaitable[set[str]]]) -> None:
        self.there = there

    async def inside(self, name: str) -> set[str]:
        """Return who is in a room."""
        del name
        return set()


def heart(dsn: str, worker_id: UUID | None = None, rhythm: Rhythm = SLOW, **more: Any) -> Heartbeat:
    return Heartbeat(dsn, Identity(worker_id or uuid4()), rhythm, **more)


def heart_of(home: OutboxHome, dsn: str, rhythm: Rhythm = SLOW) -> tuple[Shipper, Any]:
    directory = home.take()
    heartbeat = heart(dsn, directory.worker_id, rhythm)
    return Shipper(home, directory, dsn, heartbeat=heartbeat, options=QUICK), directory


async def row(pg: Connection, worker_id: UUID) -> dict[str, Any]:
    found = await pg.fetchrow("select * from voice_worker.workers where id = $1", worker_id)
    return dict(found) if found is not None else {}


async def beats_on(pg: Connection, worker_id: UUID) -> None:
    """Wait for heartbeats that are newer than this moment."""
    after = await pg.fetchval("select clock_timestamp()")

    async def newer() -> bool:
        at = (await row(pg, worker_id)).get("heartbeat_at")
        return at is not None and at > after

    await until(newer, what="a heartbeat")


async def test_the_first_heartbeat_is_there_before_the_first_call(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    await pg.execute(
        "alter table voice_calls add foreign key (worker_id) references voice_worker.workers (id)"
    )
    home = OutboxHome(tmp_path)
    shipper, directory = heart_of(home, dsn)
    path = write(directory.path, started(worker_id=directory.worker_id), message("a"), ended())
    shipper.start()
    await until(lambda: not path.exists(), what="the call to be shipped")
    assert shipper.stats.failures == shipper.stats.held_calls == 0
    assert await stored(pg) == ["a"]
    assert await asyncio.to_thread(shipper.stop, 15)
    directory.release()
    assert (await row(pg, directory.worker_id))["stopped_at"] is not None
    assert await asyncio.to_thread(shipper.stop, 1)


async def test_a_batch_that_waits_does_not_hold_it_up(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    shipper, directory = heart_of(OutboxHome(tmp_path), dsn)
    shipper.start()
    writer = OutboxWriter(directory.path, header := started())
    await until(lambda: shipper.stats.events == 2, what="the call")
    async with pg.transaction():
        await pg.execute("select from voice_calls where id = $1 for update", header.key)
        writer.append(message("waits"))
        waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        await until(lambda: pg.fetchval(waits), what="the batch to wait")
        await beats_on(pg, directory.worker_id)
        assert await pg.fetchval(waits) == 1
    writer.append(ended())
    writer.close()
    assert await asyncio.to_thread(shipper.stop, 15)
    directory.release()


async def test_it_tells_what_waits_and_who_leaves_a_backlog_has_not_stopped(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    """A call whose row somebody has locked stays on the disk."""
    shipper, directory = heart_of(OutboxHome(tmp_path), dsn)
    me = directory.worker_id
    shipper.start()
    writer = OutboxWriter(directory.path, header := started())
    await until(lambda: shipper.stats.events == 2, what="the call")
    async with pg.transaction():
        await pg.execute("select from voice_calls where id = $1 for update", header.key)
        for _ in range(3):
            writer.append(message("waits"))

        async def told() -> bool:
            found = await row(pg, me)
            return bool(found["backlog_events"] == 3 and found["backlog_seconds"] > 0)

        await until(told, what="the backlog to be told")
        assert (await row(pg, me))["backlog_bytes"] > 3 * 50
        assert not await asyncio.to_thread(shipper.stop, 0.1)
    directory.release()
    writer.close()
    assert (await row(pg, me))["stopped_at"] is None
    async with shipping(tmp_path, dsn):
        pass


async def test_a_directory_that_was_adopted_lives_until_it_is_shipped(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    home = OutboxHome(tmp_path)
    dead = home.take()
    writer = OutboxWriter(dead.path, started(worker_id=dead.worker_id))
    shipper, directory = heart_of(home, dsn)
    dead.release()  # its job lives on
    shipper.start()
    await beats_on(pg, dead.worker_id)
    assert (await row(pg, dead.worker_id))["shipped_by"] == directory.worker_id
    writer.append(leg())
    writer.append(ended())
    writer.close()

    async def has_stopped() -> bool:
        return (await row(pg, dead.worker_id))["stopped_at"] is not None

    await until(has_stopped, what="the end of the adopted directory")
    assert await asyncio.to_thread(shipper.stop, 15)
    directory.release()


async def test_it_sweeps_and_asks_who_is_served(dsn: str, pg: Connection) -> None:
    lost, asked = uuid4(), list[list[str]]()
    await pg.execute(
        "insert into voice_worker.workers (id, hostname, pid, lost_after, heartbeat_at) "
        "values ($1, 'gone', 1, '0.1 s', now() - interval '1 min')",
        lost,
    )
    for worker_id in (lost, None, None):
        await pg.execute(
            "update voice_calls set worker_id = $2 where id = $1", await add_call(pg), worker_id
        )
    names = await pg.fetch("select session_id from voice_calls where worker_id is null order by id")

    async def there(wanted: list[str]) -> set[str]:
        asked.append(wanted)
        if len(asked) == 1:
            raise Transient("LiveKit is away")
        return {names[0][0], "another"}

    heartbeat = heart(dsn, rhythm=RHYTHM, rooms=Rooms(there))
    heartbeat.start()
    ends = "select count(*) from voice_calls where end_reason is not null"

    async def both() -> bool:
        return bool(await pg.fetchval(ends) == 2)

    await until(both, what="both ends")
    await heartbeat.stop(all_shipped=True)
    found = await pg.fetch("select session_id, end_reason from voice_calls order by end_reason")
    assert [each["end_reason"] for each in found] == ["not_served", "worker_lost", None]
    assert found[0]["session_id"] == names[1][0]
    assert {name for each in asked for name in each} == {each[0] for each in names}
    assert len(asked) > 1, "not asked again"


async def test_it_looks_for_people_who_talk_on(
    dsn: str, store: Store, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who stay keep nobody behind them from being looked for."""
    monkeypatch.setattr("callrecord.shipping.heartbeat.LEGS_EVERY_S", 0.02)
    for module in ("shipping.sweeper", "postgres.workers"):
        monkeypatch.setattr(f"callrecord.{module}.CHUNK", 1)
    bob, ann = leg("bob", sid="PA_bob"), leg("ann", sid="PA_ann")
    header = started(room_name="support")
    await store.apply([batch(header, ann, bob, ended("transferred"))])
    rooms, asked = Rooms(lambda _: asyncio.sleep(0, set())), list[str]()

    async def inside(name: str) -> set[str]:
        asked.append(name)
        if len(asked) == 1:
            raise Transient("LiveKit is away")
        return {"PA_bob", "PA_of_somebody_new"}

    rooms.inside = inside  # type: ignore[method-assign]
    heartbeat = heart(dsn, rooms=rooms)
    heartbeat.start()
    gone = "select array_agg(participant_identity) from call_participants where left_at is not null"

    async def left() -> bool:
        return bool(await pg.fetchval(gone))

    await until(left, what="the end of a leg")
    await heartbeat.stop(all_shipped=True)
    assert await pg.fetchval(gone) == ["ann"]
    assert set(asked) == {"support"}


async def test_it_stops_twice_and_unstarted(dsn: str, pg: Connection) -> None:
    heartbeat = heart(dsn)
    await heartbeat.stop(all_shipped=True)
    heartbeat.start()
    await heartbeat.ensure_first()
    await heartbeat.stop(all_shipped=True)
    await heartbeat.stop(all_shipped=True)
    assert await pg.fetchval("select count(*) from voice_worker.workers") == 1


async def test_it_comes_back_after_an_absence_and_says_so_once(
    proxy: Proxy, pg: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    me = uuid4()
    heartbeat = heart(proxy.url, me, Rhythm(every_s=0.02, lost_after_s=0.3))
    with caplog.at_level(logging.INFO, "voice"):
        proxy.faults = Faults(refuse=True)
        heartbeat.start()
        with pytest.raises(Transient):
            await heartbeat.ensure_first()
        await until(lambda: "heartbeat late" in caplog.text, what="the warning")
        seen = time.monotonic()
        await until(lambda: time.monotonic() > seen + 0.3, what="more failures")
        proxy.faults = Faults()
        await beats_on(pg, me)
        proxy.cut()
        await beats_on(pg, me)
    await heartbeat.stop(all_shipped=True)
    assert len(caplog.records) == 1, caplog.text


async def test_a_black_hole_ends_with_the_answers_time(
    proxy: Proxy, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callrecord.postgres.workers.ANSWER_S", 0.3)
    me = uuid4()
    heartbeat = heart(proxy.url, me)
    heartbeat.start()
    await beats_on(pg, me)
    proxy.faults = Faults(swallow_requests=True)
    await until(lambda: proxy.swallowed, what="a heartbeat to be swallowed")
    with pytest.raises(Transient):
        await heartbeat.beat()
    proxy.faults = Faults()
    await beats_on(pg, me)
    await heartbeat.stop(all_shipped=True)


async def test_rights_that_are_missing_are_told_and_hold_up_no_call(
    tmp_path: Path, dsn: str, pg: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await pg.execute("revoke execute on function voice_worker.beat(jsonb) from voice_worker")
    shipper, directory = heart_of(OutboxHome(tmp_path), dsn)
    path = write(directory.path, started(), message("a"), ended())
    shipper.start()
    await until(lambda: not path.exists(), what="the call to be shipped")
    assert await asyncio.to_thread(shipper.stop, 15)
    directory.release()
    told = [record for record in caplog.records if record.name == "voice.heartbeat"]
    assert [record.levelname for record in told] == ["ERROR"]
    with pytest.raises(Hold):
        await heart(dsn).beat()
