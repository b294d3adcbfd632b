"""The connections to LiveKit break under live calls."""

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.stack import Stack
from tests.faults.conftest import Recovery
from tests.faults.rooms.ledger import Ledger, ended, nothing_left
from tests.postgres.proxy import proxy_to
from tests.postgres.server import Connection
from tests.rooms.worker import REGISTERED, Worker
from tests.waiting import until

pytestmark = [pytest.mark.room, pytest.mark.slow_fault]


async def test_47_the_workers_and_the_jobs_websockets_break(  # noqa: PLR0913, PLR0917
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
    recovery: Recovery,
) -> None:
    """The worker registers again, under another id; the call goes on, and new ones are taken."""
    async with proxy_to(stack.livekit_url) as proxy:
        worker = Worker(
            stack,
            tmp_path,
            database_url,
            name=server.agent_name,
            LIVEKIT_URL=f"ws://127.0.0.1:{urlsplit(proxy.url).port}",
            AGENT_REJOIN_GRACE_S="0.5",
        )
        await worker.start()
        try:
            async with Caller(server, room=f"cut-{uuid4().hex[:8]}", voice=voice) as caller:
                ledger = Ledger(caller)
                await ledger.greeted()
                proxy.cut()
                recovery.begin()
                await until(
                    lambda: worker.log.read_bytes().count(REGISTERED) == 2,
                    what="the worker to register again",
                )
                recovery.done()
                await ledger.ask()
            async with Caller(server, room=f"cut-{uuid4().hex[:8]}", voice=voice) as caller:
                after = Ledger(caller)
                await after.greeted()
                await after.ask()
            for each in (ledger, after):
                await ended(pg, each, "completed", "caller_hangup")
            await nothing_left(pg, worker)
        finally:
            await worker.stop()
