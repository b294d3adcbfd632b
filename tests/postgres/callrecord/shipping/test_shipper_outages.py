"""The shipper while Postgres or the way to it fails: all arrives once."""

import asyncio
import dataclasses
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import callrecord.outbox.reader
import callrecord.postgres.store
import callrecord.shipping.delivery
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.local_disk import sync_data
from callrecord.shipping.shipper import Shipper
from tests.postgres.callrecord.shipping.shipping import QUICK, shipping, stored
from tests.postgres.proxy import Faults, Proxy, proxy_to
from tests.postgres.rows import STRICT
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import (
    ended,
    message,
    started,
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


async def test_stop_in_a_black_hole_does_not_wait_for_the_statement(
    tmp_path: Path, proxy: Proxy, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callrecord.postgres.store, "COMMAND_TIMEOUT_S", 60.0)
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


async def test_what_waits_for_a_silent_database_gets_to_the_disk_every_second(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def noted(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync_data(fd)

    monkeypatch.setattr(callrecord.outbox.reader, "sync_data", noted)
    async with proxy_to(dsn) as proxy, shipping(tmp_path, proxy.url) as (shipper, directory):
        first = write(directory.path, started(), message("a"), ended())
        await until(lambda: shipper.stats.events >= 1)
        await until(lambda: not first.exists())
        proxy.faults = Faults(swallow_requests=True)
        write(directory.path, started(), message("b"), ended())
        await until(lambda: proxy.swallowed)  # a statement is under way, for half a minute
        later = write(directory.path, started(), message("c"), ended())
        await until(lambda: synced.count(later.stat().st_ino) > 1, timeout_s=6)
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


async def test_a_call_that_fails_each_time_keeps_no_other_call(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a time limit or a fault in the server: it is no outage, and nothing is refused."""
    monkeypatch.setattr(callrecord.shipping.delivery, "HOLD_S", 0.1)
    await pg.execute(STRICT.replace("22000", "XX000"))
    async with shipping(tmp_path, dsn) as (shipper, directory):
        for n in range(6):
            text = "bad" if n == 3 else "good"
            write(directory.path, started(), message(f"{text} {n}"), ended())
        await until(lambda: len(directory.files()) == 1 and shipper.stats.held_calls > 1)
        write(directory.path, started(), message("good 6"), ended())
        await until(lambda: len(directory.files()) == 1)
        await pg.execute("drop trigger no_bad on voice_messages")
    assert sorted(await stored(pg)) == ["bad 3", *(f"good {n}" for n in (0, 1, 2, 4, 5, 6))]
    assert shipper.stats.refused == 0


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
