"""Every command, and a worker's batches and heartbeats, through a real PgBouncer."""

from typing import Literal

import pytest

from callrecord.events import Event
from callrecord.postgres.store import Store, check_schema
from callrecord.postgres.workers import Workers
from tests.postgres.callrecord.operator.command import run
from tests.postgres.pgbouncer import pgbouncer
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, ended, leg, message, started, usage

COMMANDS = (
    ("status",),
    ("calls",),
    ("prices", "list"),
    ("prices", "set", "local", "m", "input_token", "3"),
    ("prices", "recompute"),
    ("recount",),
    ("refused", "list"),
    ("types",),
)
Mode = Literal["transaction", "session"]


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_commands_work_through_it(database_url: str, mode: Mode) -> None:
    with pgbouncer(database_url, mode) as url:
        for _ in range(2):  # the second meets what the first left in the session
            for command in COMMANDS:
                code, _, errors = await run(url, *command)
                assert (code, errors) == (0, ""), command


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_worker_stores_through_it(pg: Connection, dsn: str, mode: Mode) -> None:
    with pgbouncer(dsn, mode) as url:
        await check_schema(url)
        stores = [Store(url) for _ in range(3)]
        workers = Workers(url)
        header = started()
        events: list[Event] = [leg(), message("words", tokens=3), usage(5), ended()]
        for store in stores:
            await store.apply([batch(header, *events)])
        assert await workers.unserved(60.0, header.key) == []
        for store in stores:
            await store.close()
        await workers.close()
    row = await pg.fetchrow("select status, total_tokens_used, transcript from voice_calls")
    assert row is not None
    assert (row["status"], row["total_tokens_used"]) == ("completed", 8)
    assert "words" in row["transcript"]
