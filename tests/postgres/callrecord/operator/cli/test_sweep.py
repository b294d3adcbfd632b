"""`python -m db sweep`, as an operator runs it."""

import pytest

from callrecord.postgres.store import Store
from callrecord.postgres.workers import Workers
from tests.faults.heartbeats import LIMIT_S, beaten, silent
from tests.postgres.applied import apply
from tests.postgres.callrecord.operator.command import run
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, started


async def test_it_watches_first_and_then_ends_the_calls_of_the_lost(
    workers: Workers, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_HEARTBEAT_S", "0.05")
    monkeypatch.setenv("AGENT_WORKER_LOST_S", "0.5")
    lost = await beaten(workers, lost_after_s=0.3)
    store = Store(dsn)
    await apply(store, *(batch(started(worker_id=lost)) for _ in range(2)))
    await store.close()
    await silent(pg, lost, LIMIT_S)
    code, output, errors = await run(dsn, "sweep")
    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "watching for 0.5 s first, as every sweeper does (AGENT_WORKER_LOST_S)",
        f"worker {lost} is lost: 2 calls ended as worker_lost",
    ]
    assert await pg.fetchval("select count(*) from voice_worker.workers") == 1
    code, output, _ = await run(dsn, "sweep")
    assert (code, output.splitlines()[1:]) == (0, ["no calls of lost workers"])


async def test_settings_that_do_not_go_together_are_one_line(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_WORKER_LOST_S", "20")
    code, output, errors = await run(dsn, "sweep")
    assert (code, output) == (2, "")
    assert errors.startswith(
        "error: AGENT_WORKER_LOST_S: must be at least 6 times AGENT_HEARTBEAT_S"
    )
