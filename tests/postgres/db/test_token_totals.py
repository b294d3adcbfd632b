"""voice_calls.total_tokens_used is what was consumed, whatever order things are written in."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.postgres.rows import (
    add_call,
    add_leg,
    add_message,
    add_usage,
    add_user,
    total_tokens,
)
from tests.postgres.server import Connection, as_user

EXPECTED = """
select coalesce((select sum(tokens_used) from voice_messages where call_id = $1), 0)
    + coalesce((
        select sum(total_tokens) from voice_usage
        where call_id = $1 and message_id is null and kind in ('llm', 'realtime')
    ), 0)
"""

tokens = st.integers(0, 1000)
call = st.integers(0, 1)
kind = st.sampled_from(["llm", "realtime", "stt", "tts"])
steps = st.one_of(
    st.tuples(
        st.just("insert into voice_messages (call_id, role, content, tokens_used) "
                "select $1, 'user', '', n from unnest($2::int[]) n"),
        call, st.lists(tokens, max_size=3),
    ),
    st.tuples(
        st.just("insert into voice_usage (call_id, kind, total_tokens, message_id) "
                "select $1, $2, $3, (select id from voice_messages where call_id = $1 limit $4)"),
        call, kind, tokens, call,
    ),
    st.tuples(
        st.just("update voice_messages set tokens_used = nullif($2, 0) where call_id = $1"),
        call, tokens,
    ),
    st.tuples(
        st.just("update voice_usage set total_tokens = $2, kind = $3 where call_id = $1"),
        call, tokens, kind,
    ),
    st.tuples(st.just("update voice_usage set message_id = null where call_id = $1"), call),
    st.tuples(
        st.just("delete from voice_messages where id = "
                "(select id from voice_messages where call_id = $1 limit 1)"),
        call,
    ),
    st.tuples(
        st.just("delete from voice_usage where id = "
                "(select id from voice_usage where call_id = $1 limit 1)"),
        call,
    ),
)  # fmt: skip


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(program=st.lists(steps, min_size=4, max_size=14))
async def test_total_is_the_sum_after_any_writes(
    pg: Connection, program: list[tuple[str, int, *tuple[object, ...]]]
) -> None:
    calls = [await add_call(pg), await add_call(pg)]
    for statement, which, *arguments in program:
        await pg.execute(statement, calls[which], *arguments)
    for call_id in calls:
        assert await total_tokens(pg, call_id) == await pg.fetchval(EXPECTED, call_id)
    found = await pg.fetch("select sequence_number, call_id from voice_messages")
    assert len({tuple(row) for row in found}) == len(found)


async def test_requests_of_a_message_count_through_it_and_stay_counted_without_it(
    pg: Connection,
) -> None:
    call_id = await add_call(pg)
    message = await add_message(pg, call_id, "assistant", tokens=70)
    await add_usage(pg, call_id, message, tokens=30)
    await add_usage(pg, call_id, message, tokens=40)
    await add_usage(pg, call_id, message, kind="tts", tokens=500)
    assert await total_tokens(pg, call_id) == 70
    await pg.execute("delete from voice_messages where id = $1", message)
    assert await total_tokens(pg, call_id) == 70


@pytest.mark.every_postgres
async def test_tokens_that_a_user_claims_are_not_counted(pg: Connection) -> None:
    ann, bob = await add_user(pg, "ann"), await add_user(pg, "bob")
    call_id = await add_call(pg, ann)
    await add_leg(pg, call_id, bob, "bob")
    async with as_user(pg, bob):
        await add_message(pg, call_id, tokens=40)
    assert await total_tokens(pg, call_id) == 0


async def test_a_total_beyond_int_stops_there_and_refuses_nothing(pg: Connection) -> None:
    call_id = await add_call(pg)
    for _ in range(3):
        await add_message(pg, call_id, tokens=2_000_000_000)
    assert await total_tokens(pg, call_id) == 2_147_483_647


async def test_two_writers_over_the_same_calls_in_opposite_order_lose_no_token(
    pg: Connection, database_url: str
) -> None:
    calls = [await add_call(pg) for _ in range(4)]
    other = await asyncpg.connect(database_url)

    async def write(conn: Connection, order: list[UUID]) -> None:
        for _ in range(15):
            await conn.execute(
                """
                insert into voice_usage (call_id, kind, total_tokens)
                select id, 'llm', 1 from unnest($1::uuid[]) id
                """,
                order,
            )

    try:
        await asyncio.gather(write(pg, calls), write(other, calls[::-1]))
    finally:
        await other.close()
    assert [await total_tokens(pg, call_id) for call_id in calls] == [30] * 4
