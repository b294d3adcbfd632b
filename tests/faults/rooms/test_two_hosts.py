"""Two hosts serve one room after the other, and the first one's records come late."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Rows, read_rows
from local.stack import Stack
from tests.faults.conftest import Recovery
from tests.faults.rooms.ledger import GREETING, Ledger, nothing_left
from tests.postgres.proxy import Proxy, proxy_to
from tests.postgres.server import Connection
from tests.rooms.rows import Reader
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = [pytest.mark.room, pytest.mark.slow_fault]


@dataclass(frozen=True)
class Host:
    """A host with a worker, and how it reaches Postgres."""

    server: Server
    worker: Worker
    proxy: Proxy

    def cut_off(self) -> None:
        """Take Postgres away from this host alone."""
        self.proxy.faults.refuse = True
        self.proxy.cut()

    def back(self) -> None:
        """Give it back."""
        self.proxy.faults.refuse = False


@pytest.fixture
async def hosts(
    stack: Stack, tmp_path: Path, database_url: str
) -> AsyncIterator[tuple[Host, Host]]:
    """Two of them; each serves the rooms that ask for it by name."""
    async with proxy_to(database_url) as first, proxy_to(database_url) as second:
        hosts = []
        for name, proxy in (("first", first), ("second", second)):
            place = tmp_path / name
            place.mkdir()
            server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=name)
            worker = Worker(stack, place, proxy.url, name=name, AGENT_REJOIN_GRACE_S="0.5")
            hosts.append(Host(server, worker, proxy))
            await worker.start()
        yield hosts[0], hosts[1]
        for host in hosts:
            await host.worker.stop()


async def test_48_a_rooms_name_is_used_again_before_the_first_calls_end_is_stored(
    hosts: tuple[Host, Host], voice: Voice, pg: Connection, recovery: Recovery
) -> None:
    """They are two calls, each with its own turns and its own end."""
    room = f"again-{uuid4().hex[:8]}"
    ledgers, sids = [], []
    for host in hosts:
        sids.append(await host.server.create_room(room))
        async with Caller(host.server, room=room, voice=voice) as caller:
            ledgers.append(Ledger(caller))
            await ledgers[-1].greeted(create=False)
            if host is hosts[0]:
                host.cut_off()
            await ledgers[-1].ask()
            await host.server.delete_room(room)
    second = await _ended(pg, sids[1])
    first = await Reader(pg).call(room)
    assert first is not None
    assert first.call["ended_at"] is None, "its end is in the backlog"
    hosts[0].back()
    recovery.begin()
    first = await _ended(pg, sids[0])
    recovery.done()
    assert first.call["id"] != second.call["id"]
    assert (first.call["session_id"], second.call["session_id"]) == (room, f"{room}@{sids[1]}")
    for ledger, rows in zip(ledgers, (first, second), strict=True):
        assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "room_closed")
        ledger.check(rows)
    for host in hosts:
        await nothing_left(pg, host.worker)


async def test_36_49_a_job_is_dispatched_anew_and_the_old_ones_leftover_comes_late(
    hosts: tuple[Host, Host], voice: Voice, pg: Connection, recovery: Recovery
) -> None:
    """One call: what both jobs recorded, and the end that the newer one saw."""
    first, second = hosts
    room = f"anew-{uuid4().hex[:8]}"
    sid = await first.server.create_room(room)
    async with Caller(first.server, room=room, voice=voice) as caller:
        ledger = Ledger(caller)
        await ledger.greeted(create=False)
        await Reader(pg).when(room, lambda rows: len(rows.messages) == 1)
        first.cut_off()
        await ledger.ask()
        await first.worker.kill()
        dispatched_at = time.monotonic()
        await second.server.dispatch(room)
        await caller.agent_speech(dispatched_at, timeout_s=60)
        await caller.agent_quiet()
        ledger.replies.append(GREETING)
        await ledger.ask()
    rows = await _ended(pg, sid)
    assert len(rows.messages) == 4, "the greeting of both, and a turn with its reply"
    first.back()
    recovery.begin()
    await first.worker.start()
    await nothing_left(pg, first.worker)
    recovery.done()
    rows = await _ended(pg, sid)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "caller_hangup")
    ledger.check(rows)
    await nothing_left(pg, second.worker)


async def _ended(pg: Connection, sid: str) -> Rows:
    query = "select id from voice_calls where room_sid = $1 and ended_at is not null"
    call_id = await until(lambda: pg.fetchval(query, sid), timeout_s=60, what="the end")
    return await read_rows(pg, call_id)
