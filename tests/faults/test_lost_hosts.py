"""Hosts that are gone, and hosts that only could not reach Postgres: real processes."""

import shutil
from pathlib import Path
from uuid import UUID

import pytest

from tests.faults.conftest import Recovery
from tests.faults.invariant import account, call_row
from tests.faults.job import Job, job
from tests.faults.sidecars import sidecar
from tests.postgres.proxy import Faults, proxy_to
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import connected, ended, leg, message, started, usage
from tests.waiting import until

# What every sweep has done, even if a revival has undone it since.
AUDIT = """
create table swept_rows (id uuid, reason text);
create function note_sweep() returns trigger language plpgsql security definer as $$
begin
    insert into public.swept_rows values (new.id, new.end_reason);
    return null;
end $$;
create trigger note_sweep after update on voice_calls for each row
    when (new.swept_at is distinct from old.swept_at and new.swept_at is not null)
    execute function note_sweep();
"""


async def has_ended(pg: Connection, one: Job, reason: str) -> None:
    async def ended_so() -> bool:
        row = await call_row(pg, one.recorded.header)
        return row is not None and row["end_reason"] == reason

    await until(ended_so, what=f"the end as {reason}")


async def test_14_15_a_host_is_gone_for_good_and_comes_back_all_the_same(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    """Another host marks its calls worker_lost; its disk, put back later, tells how they ended."""
    async with sidecar(tmp_path, "here", dsn) as here, sidecar(tmp_path, "gone", dsn) as gone:
        await here.start()
        directory = await gone.start()
        async with job(directory, started(worker_id=UUID(directory.name))) as one:
            await one.append(leg(), connected(), message("shipped"))
            await until(lambda: _messages(pg, 1), what="the call")
            await gone.kill()
            await one.append(message("on the disk alone"), usage())
            await one.kill()
        away = gone.outbox.rename(tmp_path / "a disk in a drawer")
        recovery.begin()
        await has_ended(pg, one, "worker_lost")
        recovery.done()
        row = await call_row(pg, one.recorded.header)
        assert row is not None
        assert row["status"] == "failed"
        assert row["ended_at"] == row["swept_at"] >= row["connected_at"]
        assert await pg.fetchval("select bool_and(closed_by_sweep) from call_participants")
        await until(
            lambda: "worker lost, its calls were ended" in here.log.read_text(),
            what="the line about it",
        )
        told = await account(pg, [one.recorded], outbox=away, ends={})
        assert (told.stored, told.waiting) == (3, 2)
        shutil.move(away, gone.outbox)
        await gone.start()
        await has_ended(pg, one, "worker_crashed")
        assert (await account(pg, [one.recorded], outbox=gone.outbox)).stored == 5
        assert await gone.stop() == await here.stop() == 0
    state = "select count(*) from voice_worker.workers where stopped_at is null"
    assert await pg.fetchval(state) == 0


@pytest.mark.slow_fault
async def test_46_postgres_is_away_for_longer_than_the_limit(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    """Nobody's live calls are swept, not even for a moment."""
    await pg.execute(AUDIT)
    async with (
        proxy_to(dsn) as proxy,
        sidecar(tmp_path, "one", proxy.url) as one,
        sidecar(tmp_path, "two", proxy.url) as two,
    ):
        places = await one.start(), await two.start()
        async with (
            job(places[0], started(worker_id=UUID(places[0].name))) as first,
            job(places[1], started(worker_id=UUID(places[1].name))) as second,
        ):
            for each in (first, second):
                await each.append(leg(), connected(), message("before"))
            await until(lambda: _messages(pg, 2), what="the calls")
            proxy.faults = Faults(refuse=True)
            proxy.cut()
            await first.append(message("meanwhile"))
            await _each_worker(pg, "heartbeat_at")
            proxy.faults = Faults()
            recovery.begin()
            await until(lambda: _messages(pg, 3), what="what was recorded meanwhile")
            recovery.done()
            # The second is silent, and only its heartbeats tell that it lives.
            await _each_worker(pg, "unbroken_since")
            assert await pg.fetch("select * from swept_rows") == []
            for each in (first, second):
                await each.append(ended())
                assert await each.end() == 0
        assert await one.stop() == await two.stop() == 0
    ledger = [first.recorded, second.recorded]
    assert (await account(pg, ledger, outbox=tmp_path)).stored == 2 * 4 + 1


async def _each_worker(pg: Connection, column: str) -> None:
    """Wait until this time of each worker is twice the limit ago, by the database's clock."""
    ago = f"select bool_and({column} < now() - 2 * lost_after) from voice_worker.workers"  # noqa: S608
    await until(lambda: pg.fetchval(ago), what=f"{column} to be that old")


async def _messages(pg: Connection, count: int) -> bool:
    return bool(await pg.fetchval("select count(*) from voice_messages") == count)
