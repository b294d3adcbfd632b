"""The totals by quarter of an hour always equal the requests they are of."""

import asyncpg
import pytest

from tests.postgres.callrecord.schema.by_psql import PSQL_ROUTINES
from tests.postgres.db.figures import add_calls
from tests.postgres.rows import add_call, add_usage
from tests.postgres.server import Connection, psql

TOTALS = """
select quarter_hour, kind, provider, model, sum(requests) as requests,
    sum(input_tokens) as input_tokens, sum(total_tokens) as total_tokens, sum(audio_ms) as audio_ms,
    sum(cost) as cost, sum(unpriced_requests) as unpriced_requests
from voice_worker.usage_totals group by 1, 2, 3, 4 having sum(requests) <> 0 order by 1, 2, 3, 4
"""
PLAIN = """
select to_timestamp(floor(extract(epoch from created_at) / 900) * 900) as quarter_hour, kind,
    provider, model, count(*) as requests, sum(input_tokens) as input_tokens,
    sum(total_tokens) as total_tokens, coalesce(sum(audio_ms), 0) as audio_ms,
    coalesce(sum(cost), 0) as cost, count(*) - count(cost) as unpriced_requests
from (
    select created_at, kind, provider, model, input_tokens, total_tokens, audio_ms, cost
    from voice_usage
    union all
    select created_at, kind, provider, model, input_tokens, total_tokens, audio_ms, cost
    from voice_worker.deleted_usage
) all_of_them group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""


async def assert_totals_hold(pg: Connection) -> None:
    assert await pg.fetch(TOTALS) == await pg.fetch(PLAIN)


@pytest.mark.every_postgres
async def test_totals_follow_every_change_of_a_request(pg: Connection, database_url: str) -> None:
    await add_calls(pg)
    await assert_totals_hold(pg)
    await pg.execute(
        """
        update voice_usage set created_at = created_at + interval '20 minutes', cost = 0.5,
            model = 'other', total_tokens = total_tokens + 1
        where input_tokens % 2 = 0
        """
    )
    await assert_totals_hold(pg)
    another = await asyncpg.connect(database_url)  # adds to rows of its own
    call = await pg.fetchval("select id from voice_calls where session_id = 'call-1'")
    await add_usage(another, call, tokens=11)
    await another.execute("delete from voice_usage where kind = 'tts' and input_tokens % 3 = 0")
    await another.close()
    await assert_totals_hold(pg)
    await pg.execute("delete from voice_calls where session_id in ('call-1', 'call-2', 'call-3')")
    await assert_totals_hold(pg)
    before = await pg.fetch(TOTALS)
    await pg.execute("delete from voice_calls")
    assert await pg.fetch(TOTALS) == before
    await assert_totals_hold(pg)


async def test_requests_that_were_there_before_are_counted_with_the_triggers(
    pg: Connection, database_url: str
) -> None:
    await add_calls(pg)
    await pg.execute("truncate voice_worker.usage_totals")
    for name in ("", "_delete", "_update_old", "_update_new"):
        await pg.execute(f"drop trigger voice_usage_totals{name}_trigger on voice_usage")
    await add_usage(pg, await add_call(pg), tokens=5)
    psql(database_url, "-f", str(PSQL_ROUTINES))
    await assert_totals_hold(pg)
    await add_usage(pg, await add_call(pg), tokens=5)
    await assert_totals_hold(pg)
