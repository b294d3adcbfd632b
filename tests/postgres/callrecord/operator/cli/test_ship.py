"""`python -m db ship`: a process that ships what jobs without a worker of ours have written."""

import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from local.places import PROJECT
from local.procs import Child
from tests.postgres.callrecord.shipping.shipping import files_under, stored
from tests.postgres.proxy import Faults, proxy_to
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import ended, message, started
from tests.waiting import until

Start = Callable[[str], Awaitable[Child]]

JOB = """
import sys, time
from pathlib import Path
from callrecord.outbox.writer import OutboxWriter
from callrecord.outbox.directory import OutboxHome
from tests.unit.callrecord.calls import message, started
writer = OutboxWriter(OutboxHome(Path(sys.argv[1])).for_one_job(), started())
writer.append(message("heard"))
time.sleep(600)
"""


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a sidecar on `tmp_path/outbox`, for this database."""
    async with AsyncExitStack() as stack:

        async def run(url: str) -> Child:
            own = {"DATABASE_URL": url, "AGENT_OUTBOX_DIR": str(tmp_path / "outbox")}
            child = _child(tmp_path, "sidecar", [sys.executable, "-m", "db", "ship"], own)
            await child.start()
            stack.push_async_callback(child.kill)
            return child

        yield run


def _child(tmp_path: Path, name: str, command: list[str], own: dict[str, str]) -> Child:
    env = {key: os.environ[key] for key in os.environ if not key.startswith("AGENT_")}
    env |= {"PYTHONPATH": str(PROJECT), "AGENT_SHIP_TIMEOUT_S": "10"} | own
    return Child(name, command, log=tmp_path / f"{name}.log", cwd=tmp_path, env=env)


async def test_jobs_of_before_and_of_now_are_shipped_and_a_killed_one_has_crashed(
    start: Start, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    home = OutboxHome(tmp_path / "outbox")
    before = OutboxWriter(home.for_one_job(), started())
    before.append(message("first"))
    sidecar = await start(database_url)
    await _until_stored(pg, "first")
    job = _child(tmp_path, "job", [sys.executable, "-c", JOB, str(home.root)], {})
    await job.start()
    await _until_stored(pg, "heard")
    assert job.pid is not None
    os.kill(job.pid, signal.SIGKILL)
    crashed = "select count(*) from voice_calls where end_reason = 'worker_crashed'"
    await until(lambda: pg.fetchval(crashed), what="the crash")
    before.append(ended())
    before.close()
    await sidecar.stop()
    assert await sidecar.wait() == 0
    assert files_under(home.root) == []
    assert await pg.fetchval("select count(*) from voice_calls where ended_at is not null") == 2
    lines = (tmp_path / "sidecar.log").read_text().splitlines()
    assert [line.split(" ", 2)[2].split(" outbox=")[0] for line in lines[:1]] == ["shipping"]
    assert lines[-1].split(" ", 2)[2].startswith("shipper stopped all_shipped=True events=")


async def test_an_absence_of_postgres_is_two_lines(
    start: Start, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    log = tmp_path / "sidecar.log"
    async with proxy_to(database_url) as proxy:
        sidecar = await start(proxy.url)
        await until(lambda: log.exists() and " shipping " in log.read_text(), what="the start")
        proxy.faults = Faults(refuse=True)
        writer = OutboxWriter(OutboxHome(tmp_path / "outbox").for_one_job(), started())
        writer.append(message("meanwhile"))
        await until(lambda: "database away" in log.read_text(), what="the absence")
        proxy.faults = Faults()
        await _until_stored(pg, "meanwhile")
        await until(lambda: "shipping again" in log.read_text(), what="the return")
        writer.append(ended())
        writer.close()
        await sidecar.stop()
        assert await sidecar.wait() == 0
    assert log.read_text().count("database away") == 1
    assert log.read_text().count("shipping again") == 1


async def test_no_number_reaches_its_log(
    start: Start, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """Not by the name of a room, which LiveKit makes of a caller's number."""
    writer = OutboxWriter(
        OutboxHome(tmp_path / "outbox").for_one_job(), started(room_name="call-_+15557654321_x")
    )
    writer.append(message("refused", tokens=2**31))
    writer.append(message("first"))
    sidecar = await start(database_url)
    await _until_stored(pg, "first")
    writer.close()
    await sidecar.stop()
    assert await sidecar.wait() == 0
    log = (tmp_path / "sidecar.log").read_text()
    assert "room=call-_+***21_x" in log
    assert "555765" not in log


@pytest.mark.parametrize("url", ["", "no url"])
async def test_a_setting_that_does_not_do_is_one_line(
    start: Start, tmp_path: Path, url: str
) -> None:
    assert await (await start(url)).wait() == 2
    (line,) = (tmp_path / "sidecar.log").read_text().splitlines()
    assert line.startswith("error: DATABASE_URL is")


async def _until_stored(pg: Connection, text: str) -> None:
    async def is_there() -> bool:
        return text in await stored(pg)

    await until(is_there, what=f"the message {text}")
