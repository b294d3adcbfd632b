"""Processes that are killed: what they had recorded is there, and the call says how it ended."""

from pathlib import Path

from tests.callrecord.db.calls import connected, leg, message, usage
from tests.callrecord.db.shipping import files_under, shipping
from tests.faults.conftest import Recovery
from tests.faults.invariant import account
from tests.faults.job import job
from tests.postgres import Connection
from tests.waiting import until


async def test_02_the_job_is_killed_before_its_first_event_is_shipped(
    tmp_path: Path, dsn: str, pg: Connection, recovery: Recovery
) -> None:
    async with shipping(tmp_path, "postgresql://nobody@127.0.0.1:1/none") as (_, directory):
        pass
    async with job(directory.path) as one:
        await one.append(leg(), connected(), message("heard"), usage())
        await one.kill()
    ledger = [one.recorded]
    assert (await account(pg, ledger, outbox=tmp_path)).waiting == 4
    recovery.begin()
    async with shipping(tmp_path, dsn):
        await until(lambda: not files_under(tmp_path))
    recovery.done()
    assert (await account(pg, ledger)).stored == 4
