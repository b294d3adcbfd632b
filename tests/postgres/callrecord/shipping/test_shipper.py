"""The shipper with real writers and a real Postgres: kills, races, neighbours."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import callrecord.postgres.store
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from callrecord.shipping.shipper import Shipper
from tests.postgres.callrecord.shipping.shipping import QUICK, WORKER, files_under, shipping
from tests.postgres.proxy import Faults, Proxy, proxy_to
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import (
    connected,
    ended,
    leg,
    message,
    started,
    usage,
    write,
)
from tests.waiting import until


@pytest.fixture
async def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy to the database, for a shipper that does not wait long."""
    monkeypatch.setattr(callrecord.postgres.store, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(callrecord.postgres.store, "COMMAND_TIMEOUT_S", 0.5)
    async with proxy_to(dsn) as running:
        yield running


async def test_a_living_call_is_seen_and_its_end_removes_the_file(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    async with shipping(tmp_path, dsn) as (shipper, directory):
        writer = OutboxWriter(directory.path, started())
        writer.append(leg())
        writer.append(connected())
        await until(lambda: shipper.stats.events == 4)
        assert await pg.fetchval("select status from voice_calls") == "active"
        words = message("hello", tokens=5)
        writer.append(words)
        writer.append(usage(5, message_id=words.id))
        writer.append(ended())
        writer.close()
        await until(lambda: not writer.path.exists())
    row = await pg.fetchrow("select status, end_reason, total_tokens_used from voice_calls")
    assert row is not None
    assert tuple(row) == ("completed", "caller_hangup", 5)
    assert shipper.stop(1)  # again, and without a thread
    assert (shipper.stats.refused, shipper.stats.failures) == (0, 0)


async def test_one_connection_is_enough(tmp_path: Path, dsn: str, pg: Connection) -> None:
    login = dsn.split("//")[1].split(":", maxsplit=1)[0]
    await pg.execute(f"alter role {login} connection limit 1")
    async with shipping(tmp_path, dsn) as (shipper, directory):
        for _ in range(30):
            write(directory.path, started(), message("a"), message("b", tokens=2**31), ended())
    assert shipper.stats.failures == 0
    assert shipper.stats.refused == 30
    assert await pg.fetchval("select count(*) from voice_messages") == 30


async def test_what_is_written_as_the_stop_begins_is_shipped(tmp_path: Path, dsn: str) -> None:
    home = OutboxHome(tmp_path)
    for _ in range(25):
        directory = home.take()
        shipper = Shipper(home, directory, dsn, options=QUICK)
        shipper.start()
        write(directory.path, started(), message(), ended())
        assert await asyncio.to_thread(shipper.stop, 15)
        assert directory.files() == []
        directory.release()


async def test_a_worker_killed_with_its_calls_is_shipped_by_another(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
        [sys.executable, "-c", WORKER, str(tmp_path), dsn], stdout=subprocess.PIPE
    ) as worker:
        out = worker.stdout
        assert out is not None
        for _ in range(200):
            await asyncio.to_thread(out.readline)
        worker.kill()
        told = (await asyncio.to_thread(out.read)).splitlines()
    last = int(told[-1]) if told else 200
    home = OutboxHome(tmp_path)
    (dead,) = home.adopt()  # its lock went with it
    dead.note_accepted(started())  # a job that died before its first event
    own = home.take()
    dead.release()
    shipper = Shipper(home, own, dsn, options=QUICK)
    shipper.start()
    await until(lambda: not dead.path.exists())
    assert await asyncio.to_thread(shipper.stop, 15)
    own.release()
    calls = await pg.fetch("select id, status::text, end_reason from voice_calls")
    assert [(row["status"], row["end_reason"]) for row in calls] == [
        ("failed", "worker_crashed")
    ] * 4
    rows = await pg.fetch(
        "select count(*) as n, count(distinct content) as different, max(content::int) as newest, "
        "max(cardinality(string_to_array(transcript, E'\\n'))) as lines "
        "from voice_messages m join voice_calls c on c.id = m.call_id group by call_id"
    )
    for row in rows:
        assert row["n"] == row["different"] == row["newest"] + 1 == row["lines"]
        assert row["n"] >= last
    assert len(rows) == 3


@pytest.mark.parametrize("seed", range(2))
async def test_workers_and_jobs_killed_at_random_lose_nothing(
    tmp_path: Path, proxy: Proxy, pg: Connection, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same kills every time
    told: dict[int, int] = {}  # pid of a worker: rounds that it has told us were appended
    for _ in range(5):
        proxy.faults = chance.choice(
            [Faults(), Faults(delay_s=0.002), Faults(refuse=True), Faults(swallow_from=b"call_ids")]
        )
        with subprocess.Popen(  # noqa: ASYNC220 - it is waited for in a thread
            [sys.executable, "-c", WORKER, str(tmp_path), proxy.url], stdout=subprocess.PIPE
        ) as worker:
            out = worker.stdout
            assert out is not None
            rounds = chance.randint(1, 150)
            for _ in range(rounds):
                await asyncio.to_thread(out.readline)
            worker.kill()
            told[worker.pid] = rounds + len((await asyncio.to_thread(out.read)).splitlines())
    proxy.faults = Faults()
    async with shipping(tmp_path, proxy.url):
        pass
    rows = await pg.fetch(
        "select count(*) as n, count(distinct content) as different, max(content::int) as newest "
        "from voice_messages group by call_id order by n"
    )
    assert all(row["n"] == row["different"] == row["newest"] + 1 for row in rows)
    assert sum(row["n"] for row in rows) >= 3 * sum(told.values())
    ends = await pg.fetch("select distinct status::text, end_reason from voice_calls")
    assert [tuple(row) for row in ends] == [("failed", "worker_crashed")]
    assert await pg.fetchval("select count(*) from voice_calls") == 3 * 5
    odd = "select count(*) from voice_worker.refused_events where error <> 'unfinished line'"
    assert await pg.fetchval(odd) == 0
    assert files_under(tmp_path) == []
