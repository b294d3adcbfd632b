"""Postgres goes away in mid-call: the caller notices nothing, and nothing is lost."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from callrecord.schema.migrate import migrate
from local.caller import Caller, Server
from local.caller.voice import Voice
from local.postgres import LocalPostgres
from local.stack import Stack
from tests.faults.conftest import Recovery
from tests.faults.rooms.ledger import Ledger, ended, nothing_left
from tests.rooms.worker import Worker

pytestmark = pytest.mark.room


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that the account of Postgres can reach too."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow_fault
@pytest.mark.parametrize("away_s", [3, 60])
async def test_17_postgres_is_away_while_people_talk(  # noqa: PLR0913, PLR0917 - a whole stack
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    open_directory: Path,
    away_s: float,
    recovery: Recovery,
) -> None:
    postgres = LocalPostgres(open_directory)
    await postgres.start()
    try:
        await migrate(postgres.url)
        worker = Worker(
            stack, tmp_path, postgres.url, name=server.agent_name, AGENT_REJOIN_GRACE_S="0.5"
        )
        await worker.start()
        async with Caller(server, room=f"away-{uuid4().hex[:8]}", voice=voice) as caller:
            ledger = Ledger(caller)
            await ledger.greeted()
            await postgres.stop()
            away_since = time.monotonic()
            while time.monotonic() - away_since < away_s:
                await ledger.ask()
            await postgres.start()
            recovery.begin()
        pg = await asyncpg.connect(postgres.url)
        try:
            await ended(pg, ledger, "completed", "caller_hangup", timeout_s=40)
            recovery.done()
            await nothing_left(pg, worker)
        finally:
            await pg.close()
        assert await worker.stop() == 0
    finally:
        await postgres.stop()
