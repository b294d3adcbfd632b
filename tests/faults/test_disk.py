"""The outbox's disk: full, damaged, and with things in it that are none of ours."""

import asyncio
import os
import random
from pathlib import Path

import pytest

import callrecord.outbox.writer
from callrecord.errors import Stop
from callrecord.events import Event
from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.disk_reserve import DiskReserve
from callrecord.outbox.writer import RESERVE, OutboxWriter
from tests.faults.conftest import Recovery
from tests.faults.full import fill, small_disk
from tests.faults.invariant import Recorded, account, refused
from tests.faults.job import job
from tests.faults.sidecar import log_of, sidecar
from tests.postgres.callrecord.shipping.shipping import files_under, shipping
from tests.postgres.proxy import Faults, proxy_to
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


def talk(turns: int, size: int = 500) -> list[Event]:
    return [message(f"{n} " + "x" * size) for n in range(turns)]


async def test_28_the_disk_is_full(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    """What the running calls say goes into the reserve, then waits in memory, and is written."""
    with small_disk(tmp_path / "disk", "3m") as disk:
        async with shipping(disk / "outbox", dsn) as (_, directory), job(directory.path) as one:
            DiskReserve(directory.path, low_bytes=0).adjust()
            await one.append(leg(), connected())
            filler = fill(disk)
            await one.append(*talk(100))
            assert not (directory.path / RESERVE).exists()  # the job has taken it
            await until(lambda: pg.fetchval("select count(*) = 100 from voice_messages"))
            fill(disk)
            await one.append(*talk(100))  # to its memory
            assert await pg.fetchval("select count(*) from voice_messages") < 200
            recovery.begin()
            filler.unlink()
            await one.append(usage(), ended())
            await until(lambda: pg.fetchval("select ended_at from voice_calls"))
            recovery.done()
            await one.end()
            await until(lambda: not files_under(disk / "outbox"))
        assert (await account(pg, [one.recorded])).stored == 204


async def test_28_a_file_takes_no_more(tmp_path: Path, dsn: str, pg: Connection) -> None:
    """By RLIMIT_FSIZE, where no disk may be mounted: what was taken in before is there."""
    async with shipping(tmp_path, dsn) as (_, directory):
        async with job(directory.path, file_limit=20_000) as one:
            await one.append(leg(), connected(), *talk(30))
            taken = len(one.recorded.events)
            await one.append(*talk(30))  # to its memory, which the kill takes with it
            await one.kill()
        await until(lambda: not files_under(tmp_path))
    stored = await pg.fetchval("select count(*) from voice_messages")
    assert taken - 2 <= stored < 60
    del one.recorded.events[2 + stored :]
    assert (await account(pg, [one.recorded])).stored == 2 + stored
    (torn,) = await refused(pg)
    assert torn.error == "unfinished line"


async def test_28_the_end_of_a_call_waits_for_a_full_disk(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is not lost if the disk takes it within five seconds; if not, the log says so."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        home = OutboxHome(disk)
        directory = home.take()
        filler = None
        patient = Recorded(started(), [*talk(20), ended()])
        writer = OutboxWriter(directory.path, patient.header)
        filler = fill(disk)
        for event in patient.events:
            writer.append(event)
        closing = asyncio.create_task(asyncio.to_thread(writer.close))
        failed = writer.failed_writes
        await until(lambda: writer.failed_writes > failed)
        filler.unlink()
        await closing
        monkeypatch.setattr(callrecord.outbox.writer, "CLOSE_PATIENCE_S", 0.0)
        cut = OutboxWriter(directory.path, started())
        filler = fill(disk)
        for event in talk(20):
            cut.append(event)
        cut.append(ended())
        cut.close()
        filler.unlink()
        directory.release()
        async with shipping(disk, dsn):
            await until(lambda: not files_under(disk))
    assert (await account(pg, [patient])).stored == 21
    ends = await pg.fetch("select end_reason from voice_calls order by id")
    assert [row[0] for row in ends] == ["caller_hangup", "worker_crashed"]
    assert [each.error for each in await refused(pg)] == ["unfinished line"]


def test_28_a_worker_that_has_nothing_on_a_full_disk_stops_with_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m,nr_inodes=3") as disk:  # the mount, and two files
        fill(disk)
        (disk / "last").touch()
        with pytest.raises(Stop, match=r"^AGENT_OUTBOX_DIR=\S+ can't be written \(No space"):
            OutboxHome(disk).take()


async def test_29_both_the_disk_and_postgres_fail(
    tmp_path: Path, database_url: str, pg: Connection, recovery: Recovery
) -> None:
    """The worker is killed too, and starts again on the full disk: shipping is what frees it."""
    with small_disk(tmp_path / "disk", "3m") as disk:
        outbox = disk / "outbox"
        log = tmp_path / "outbox"
        async with proxy_to(database_url) as proxy:
            async with sidecar(outbox, proxy.url, log=log) as worker:
                await until(lambda: list(outbox.glob("*/worker.lock")))
                (directory,) = outbox.iterdir()
                async with job(directory) as dead:
                    await dead.append(leg(), connected(), *talk(50))
                    proxy.faults = Faults(refuse=True)
                    proxy.cut()
                    await dead.append(*talk(50))
                    await worker.kill()
                    await dead.kill()
            filler = fill(disk)
            before = log_of(log).count("database away")  # the killed one may have seen it, too
            async with sidecar(outbox, proxy.url, log=log):
                await until(lambda: log_of(log).count("database away") == before + 2)
                recovery.begin()
                proxy.faults = Faults()
                await until(lambda: not files_under(outbox))
                recovery.done()
                filler.unlink()
        assert "outbox disk full, free space on it" in log_of(log)
        assert (await account(pg, [dead.recorded], outbox=outbox)).stored == 102


@pytest.mark.parametrize("seed", range(3))
async def test_30_a_bit_is_flipped_in_an_outbox_file(
    tmp_path: Path, dsn: str, pg: Connection, seed: int
) -> None:
    """Every other event is stored, and the bad line is kept aside."""
    chance = random.Random(seed)  # noqa: S311 - the same bits every time
    ledger: list[Recorded] = []
    async with shipping(tmp_path, dsn) as (_, directory):
        for _ in range(25):
            one = Recorded(started(), [leg(), connected(), *talk(3, 40), usage(), ended()])
            path = write(tmp_path, one.header, *one.events)
            data = bytearray(path.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(bytes(data))
            path.rename(directory.path / path.name)
            ledger.append(one)
        await until(lambda: not files_under(tmp_path))
    total = await account(pg, ledger)
    assert total.recorded == 25 * 7
    assert 0 < total.refused <= 25


async def test_31_empty_and_foreign_files_in_the_outbox_directory(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    reserve = DiskReserve(tmp_path / "no such directory", low_bytes=0)
    async with shipping(tmp_path, dsn, reserve=reserve) as (_, directory):
        os.mkfifo(directory.path / "pipe.events")
        (directory.path / "folder.events").mkdir()
        (directory.path / "notes.events").write_bytes(b"mine\n")
        (directory.path / f"AJ_1.{started().key.hex}.events").touch()
        garbage = tmp_path / f"AJ_2.{started().key.hex}.events"
        garbage.write_bytes(os.urandom(700_000).replace(b"\n", b"\0"))
        garbage = garbage.rename(directory.path / garbage.name)
        (tmp_path / "README").write_bytes(b"what is this\n")
        one = Recorded(started(), [message("a"), ended()])
        path = write(directory.path, one.header, *one.events)
        await until(lambda: not path.exists() and not garbage.exists())
    assert (await account(pg, [one], outbox=None)).stored == 2
    assert {len(each.raw) for each in await refused(pg)} == {700_000}
    assert {path.name for path in directory.path.iterdir()} == {
        *("pipe.events", "folder.events", "notes.events", "worker.lock")
    }


async def test_31_a_line_without_an_end_does_not_fill_the_memory(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callrecord.outbox.reader.LINE_LIMIT", 2**20)
    async with shipping(tmp_path, dsn) as (_, directory):
        one = Recorded(started(), [message("a"), ended()])
        path = write(tmp_path, one.header, *one.events)
        path.write_bytes(b"x" * 3_000_000 + b"\n" + path.read_bytes())
        path.rename(directory.path / path.name)
        await until(lambda: not files_under(tmp_path))
    assert (await account(pg, [one])).stored == 2
    sizes = [len(each.raw) for each in await refused(pg)]
    assert sum(sizes) == 3_000_000
    assert max(sizes) <= 2**20 + 2**18
