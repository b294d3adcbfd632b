"""Processes that are killed: what they had recorded is there, and the call says how it ended.

Killed jobs and workers in real rooms are in test_rooms.py.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from callrecord.events import Message
from callrecord.outbox.directory import OutboxHome
from tests.faults.conftest import Recovery
from tests.faults.invariant import Recorded, account, recorded_under
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

APPENDING = """
import sys
from pathlib import Path
from callrecord.outbox.writer import OutboxWriter
from tests.unit.callrecord.calls import message, started
writer = OutboxWriter(Path(sys.argv[1]), started())
number = 0
while True:
    number += 1
    writer.append(message(f"{number} " + "x" * 30_000))
    print(number, flush=True)
"""


def worker_directory(outbox: Path) -> Path:
    """Return the directory of a worker that has died."""
    directory = OutboxHome(outbox).take()
    directory.release()
    return directory.path


async def test_02_the_job_is_killed_before_its_first_event_is_shipped(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    async with job(worker_directory(tmp_path)) as one:
        await one.append(leg(), connected(), message("heard"), usage())
        await one.kill()
    assert (await account(pg, [one.recorded], outbox=tmp_path)).waiting == 4
    recovery.begin()
    async with shipping(tmp_path, dsn):
        await until(lambda: not files_under(tmp_path))
        recovery.done()
    assert (await account(pg, [one.recorded])).stored == 4


async def test_03_the_shipper_is_killed_between_the_commit_and_its_knowledge_of_it(
    tmp_path: Path, database_url: str, pg: Connection, recovery: Recovery
) -> None:
    outbox = tmp_path / "outbox"
    async with proxy_to(database_url) as proxy, job(worker_directory(outbox)) as one:
        async with sidecar(outbox, proxy.url) as shipper:
            await one.append(leg(), connected(), message("first", tokens=3))
            await until(lambda: pg.fetchval("select connected_at from voice_calls"))
            proxy.faults = Faults(swallow_from=b"call_ids")
            await one.append(message("last", tokens=4), usage(7), ended())
            # Read in two batches, the second waits until the first one's answer is given up.
            await until(lambda: pg.fetchval("select ended_at from voice_calls"), timeout_s=60)
            await shipper.kill()
        proxy.faults = Faults()
        await one.end()
        recovery.begin()
        async with sidecar(outbox, proxy.url) as shipper:
            await until(lambda: not files_under(outbox))
            recovery.done()
            await shipper.stop()
    assert (await account(pg, [one.recorded])).stored == 6
    assert await pg.fetchval("select total_tokens_used from voice_calls") == 14


async def test_04_the_job_is_killed_inside_an_append(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    directory = worker_directory(tmp_path)
    for n in range(4):
        command = [sys.executable, "-c", APPENDING, str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:  # noqa: ASYNC220 - in threads
            assert child.stdout is not None
            for _ in range(20 + 7 * n):
                last = int(await asyncio.to_thread(child.stdout.readline))
            child.kill()
            told = (await asyncio.to_thread(child.stdout.read)).splitlines()
        last = int(told[-1]) if told else last
        newest = max(recorded_under(tmp_path), key=lambda each: each.header.key)
        numbers = [int(e.content.split()[0]) for e in newest.events if isinstance(e, Message)]
        assert numbers[:last] == list(range(1, last + 1))
        assert len(numbers) - last <= 1  # the one in hand
    torn, *whole = sorted(files_under(tmp_path))
    data = torn.read_bytes()
    # Where exactly a kill hits is chance: one is cut where it can hit.
    torn.write_bytes(data[: data[:-1].rindex(b"\n") + 1000])
    ledger = recorded_under(tmp_path)
    recovery.begin()
    async with shipping(tmp_path, dsn):
        await until(lambda: not files_under(tmp_path))
        recovery.done()
    await account(pg, ledger)
    assert len(whole) == 3
    reasons = "select array_agg(distinct error) from voice_worker.refused_events"
    assert await pg.fetchval(reasons) == ["unfinished line"]


async def test_10_the_worker_gives_up_on_an_absent_postgres_and_leaves_the_rest_on_disk(
    tmp_path: Path, database_url: str, pg: Connection, recovery: Recovery
) -> None:
    outbox = tmp_path / "outbox"
    async with proxy_to(database_url) as proxy:
        async with job(worker_directory(outbox)) as one:
            proxy.faults = Faults(refuse=True)
            async with sidecar(outbox, proxy.url, ship_timeout_s=0.5) as shipper:
                await one.append(leg(), message("kept"), ended())
                await until(lambda: "shipping " in log_of(outbox))
                await one.end()
                os.kill(shipper.pid or 0, 15)
                assert await shipper.wait() == 0
        assert "all_shipped=False" in log_of(outbox)
        assert (await account(pg, [one.recorded], outbox=outbox)).waiting == 3
        proxy.faults = Faults()
        recovery.begin()
        async with sidecar(outbox, proxy.url):
            await until(lambda: not files_under(outbox))
            recovery.done()
    assert (await account(pg, [one.recorded])).stored == 3


async def test_13_the_job_runs_out_of_memory(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    """By RLIMIT_AS: the process dies of it. When the kernel kills one it is a SIGKILL, as in 2."""
    async with shipping(tmp_path, dsn) as (_, directory), job(directory.path) as one:
        await one.append(leg(), connected(), message("heard"))
        await one.do("eat")
        recovery.begin()
        assert await one.gone() == 1
        await until(lambda: not files_under(tmp_path))
        recovery.done()
    assert (await account(pg, [one.recorded])).stored == 3


async def test_43_a_tool_that_forks_holds_the_dead_jobs_file_descriptors(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    async with shipping(tmp_path, dsn) as (_, directory), job(directory.path) as one:
        await one.append(message("heard"))
        await one.do("fork")
        child = int(await one.said())
        try:
            await one.kill()
            recovery.begin()
            await until(lambda: not files_under(tmp_path))
            recovery.done()
            os.kill(child, 0)  # it lives, and so would its lock
        finally:
            os.kill(child, 9)
    assert (await account(pg, [one.recorded])).stored == 1


async def test_44_the_last_event_is_appended_while_the_shipper_finishes_the_file(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    """Many short jobs, as threads: so the two meet often."""
    ledger = [Recorded(started(), [message("first"), ended(), message("last")]) for _ in range(120)]
    async with shipping(tmp_path, dsn) as (_, directory):

        def jobs(calls: list[Recorded]) -> None:
            for call in calls:
                write(directory.path, call.header, *call.events)

        await asyncio.gather(*(asyncio.to_thread(jobs, ledger[n::2]) for n in range(2)))
    assert (await account(pg, ledger)).stored == 3 * 120
