"""Jobs and workers that are killed or told to stop, with callers on the line."""

import signal
import time
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from tests.faults.conftest import Recovery
from tests.faults.rooms.ledger import Ledger, ended, nothing_left
from tests.postgres.server import Connection
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = pytest.mark.room


def calling(server: Server, voice: Voice) -> Caller:
    return Caller(server, room=f"kill-{uuid4().hex[:8]}", voice=voice)


async def test_01_05_the_job_is_killed_while_the_agent_speaks(
    worker: Worker, server: Server, voice: Voice, pg: Connection, recovery: Recovery
) -> None:
    """All turns are kept, and of the reply what was said until then, marked as interrupted."""
    async with calling(server, voice) as caller:
        ledger = Ledger(caller)
        await ledger.greeted()
        await ledger.ask()
        await ledger.ask_on()
        killed_at = time.time()
        worker.job().send_signal(signal.SIGKILL)
        recovery.begin()
        rows = await ended(pg, ledger, "failed", "worker_crashed")
        recovery.done()
    assert abs(rows.call["ended_at"].timestamp() - killed_at) < 2
    assert [message["interrupted"] for message in rows.messages] == [False] * 4 + [True]
    await nothing_left(pg, worker)


@pytest.mark.slow_fault
async def test_06_the_worker_is_killed_and_restarted(
    worker: Worker, server: Server, voice: Voice, pg: Connection, recovery: Recovery
) -> None:
    """The next one on this host ships what is left."""
    async with calling(server, voice) as caller:
        ledger = Ledger(caller)
        await ledger.greeted()
        await ledger.ask()
        await worker.kill()
        recovery.begin()
        await worker.start()
        await ended(pg, ledger, "failed", "worker_crashed")
        recovery.done()
    await nothing_left(pg, worker)


@pytest.mark.slow_fault
async def test_07_job_and_worker_are_killed_at_once(
    worker: Worker, server: Server, voice: Voice, pg: Connection, recovery: Recovery
) -> None:
    async with calling(server, voice) as caller:
        ledger = Ledger(caller)
        await ledger.greeted()
        await ledger.ask_on()
        job = worker.job()
        job.send_signal(signal.SIGSTOP)  # so that it does nothing between the two
        await worker.kill()
        job.send_signal(signal.SIGKILL)
        recovery.begin()
        await worker.start()
        rows = await ended(pg, ledger, "failed", "worker_crashed")
        recovery.done()
    assert rows.messages[-1]["interrupted"]
    await nothing_left(pg, worker)


async def test_08_a_worker_told_to_stop_serves_its_call_to_the_end(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """It ships everything, and exits with 0."""
    async with calling(server, voice) as caller:
        ledger = Ledger(caller)
        await ledger.greeted()
        seen = worker.log.stat().st_size
        worker.terminate()
        await until(lambda: b"draining worker" in worker.log.read_bytes()[seen:], what="the drain")
        await ledger.ask()
        await caller.hang_up()
        assert await worker.wait() == 0
    await ended(pg, ledger, "completed", "caller_hangup", timeout_s=0)
    await nothing_left(pg, worker)


@pytest.mark.slow_fault
async def test_09_a_worker_is_told_twice_to_stop(
    worker: Worker, server: Server, voice: Voice, pg: Connection, recovery: Recovery
) -> None:
    """The second signal ends it at once: the call is cut, and what it recorded is kept."""
    async with calling(server, voice) as caller:
        ledger = Ledger(caller)
        await ledger.greeted()
        await ledger.ask()
        seen = worker.log.stat().st_size
        worker.terminate()
        await until(lambda: b"draining worker" in worker.log.read_bytes()[seen:], what="the drain")
        worker.terminate()
        await worker.wait()
        recovery.begin()
        await worker.start()
        await ended(pg, ledger, "failed", "worker_crashed")
        recovery.done()
    await nothing_left(pg, worker)
