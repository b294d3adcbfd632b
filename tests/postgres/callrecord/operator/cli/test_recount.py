"""`python -m db recount`, as an operator runs it."""

import asyncio

import asyncpg
import pytest

from callrecord.postgres.store import Store
from tests.postgres.applied import apply
from tests.postgres.callrecord.operator.command import run
from tests.postgres.db.test_usage_totals import assert_totals_hold
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, message, started, usage

WRONG_CALLS = """
select count(*) from voice_calls c where total_tokens_used <> (
    select coalesce(sum(tokens_used), 0) from voice_messages where call_id = c.id
) + (
    select coalesce(sum(total_tokens), 0) from voice_usage
    where call_id = c.id and message_id is null and kind in ('llm', 'realtime')
)
"""


@pytest.mark.every_postgres
async def test_every_sum_is_made_right_while_calls_go_on(
    pg: Connection, store: Store, database_url: str
) -> None:
    """Twice what is true, as after a restore of data alone, and a worker that stores meanwhile."""
    headers = [started() for _ in range(20)]
    for header in headers:
        await apply(store, batch(header, message(tokens=3), usage(5), usage(7)))
    async with pg.transaction():
        await pg.execute("set local session_replication_role = replica")
        await pg.execute("update voice_calls set total_tokens_used = total_tokens_used * 2")
        await pg.execute(
            "update voice_worker.usage_totals set requests = requests * 2, "
            "total_tokens = total_tokens * 2"
        )
    with pytest.raises(AssertionError):
        await assert_totals_hold(pg)

    async def go_on() -> None:
        for place in range(10):
            for header in headers:
                turn = batch(header, message(tokens=2), usage(1), first=10 + 10 * place)
                await store.apply([turn])

    (code, output, errors), _ = await asyncio.gather(run(database_url, "recount"), go_on())
    assert (code, errors) == (0, "")
    assert output == "totals recomputed from the rows; 20 calls had wrong totals\n"
    await assert_totals_hold(pg)
    assert await pg.fetchval(WRONG_CALLS) == 0
    again = await run(database_url, "recount")
    assert again == (0, "totals recomputed from the rows; 0 calls had wrong totals\n", "")


async def test_no_writer_waits_for_it(pg: Connection, store: Store, database_url: str) -> None:
    """Totals that are being made right, and not yet committed, stop no batch."""
    header = started()
    await apply(store, batch(header, message(tokens=3), usage(5)))
    await pg.execute("truncate voice_worker.usage_totals, voice_worker.latency_totals")
    owner = await asyncpg.connect(database_url)
    try:
        async with owner.transaction():
            await owner.execute("call voice_worker.recount_usage()")
            await owner.execute("call voice_worker.recount_latency()")
            await apply(store, batch(header, message(tokens=3), usage(5), first=9))
    finally:
        await owner.close()
    await assert_totals_hold(pg)
