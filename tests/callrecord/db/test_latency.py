"""Percentiles of the steps of a turn, by day and model."""

from datetime import date

import pytest

from callrecord.db.store import Store
from tests.callrecord.db.applied import apply
from tests.callrecord.db.calls import at, batch, message, started
from tests.callrecord.db.rows import add_user
from tests.postgres import Connection, as_user

pytestmark = pytest.mark.every_postgres


async def test_each_step_has_its_percentiles(store: Store, pg: Connection) -> None:
    header = started()
    turns = [
        message(role="assistant", model="gpt", at=at(n), e2e_latency_ms=n * 10, llm_ttft_ms=n)
        for n in range(1, 102)
    ]
    heard = message(model="whisper", end_of_turn_delay_ms=500)
    call = await apply(store, batch(header, heard, *turns))
    day = await pg.fetchval("select created_at::date from voice_calls where id = $1", call)
    rows = await pg.fetch("select * from latency_statistics($1, $2)", day, date(9999, 1, 1))
    assert [tuple(row) for row in rows] == [
        (day, "gpt", "end_to_end", 101, 510, 960, 1000),
        (day, "gpt", "first_token", 101, 51, 96, 100),
        (day, "whisper", "end_of_turn", 1, 500, 500, 500),
    ]


async def test_a_user_sees_his_own(store: Store, pg: Connection) -> None:
    ann, eve = await add_user(pg, "ann"), await add_user(pg, "eve")
    call = await apply(store, batch(started(), message(model="m", end_of_turn_delay_ms=5)))
    await pg.execute("update voice_calls set user_id = $2 where id = $1", call, ann)
    ask = "select count(*) from latency_statistics('2000-01-01', '9999-01-01')"
    for user, expected in ((ann, 1), (eve, 0)):
        async with as_user(pg, user):
            assert await pg.fetchval(ask) == expected
