"""What belongs to a call, in its order."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from callrecord.reading import (
    CallRecord,
    conversation,
    get_call,
    legs_of_call,
    messages_of_call,
    record_of,
    usage_of_call,
)
from tests.postgres.callrecord.reading.recorded import record_call, turns
from tests.postgres.rows import add_leg, add_user
from tests.postgres.server import Connection, as_user


async def read(conn: Connection, call_id: UUID) -> CallRecord:
    call = await get_call(conn, call_id)
    assert call is not None
    return await record_of(conn, call)


@pytest.mark.every_postgres
async def test_a_record_has_all_rows_in_their_order(pg: Connection, dsn: str) -> None:
    call_id = await record_call(dsn)
    record = await read(pg, call_id)
    assert (record.call.status, record.call.end_reason) == ("completed", "caller_hangup")
    assert [leg.participant_identity for leg in record.legs] == ["agent", "caller"]
    assert [turn.content for turn in record.messages] == [turn.content for turn in turns()]
    answer = record.messages[-1]
    assert (answer.interrupted, answer.e2e_latency_ms, answer.tokens_used) == (True, 1550, 90)
    assert [(each.kind, each.total_tokens) for each in record.usage] == [
        *(("llm", 45), ("llm", 45)),
        ("tts", 0),
    ]
    assert {each.message_id for each in record.usage} == {answer.id, None}
    said = await conversation(pg, call_id)
    assert said == [turn for turn in record.messages if turn.role != "system"]


async def test_turns_stand_in_the_order_of_time_and_then_of_their_numbers(
    pg: Connection, dsn: str
) -> None:
    call_id = await record_call(dsn)
    first, second, third = await messages_of_call(pg, call_id)
    update = "update voice_messages set timestamp = $2 where id = $1"
    await pg.execute(update, third.id, first.timestamp)
    await pg.execute(update, first.id, second.timestamp)
    ordered = [turn.id for turn in await messages_of_call(pg, call_id)]
    assert ordered == [third.id, first.id, second.id]


async def test_a_user_reads_what_the_policies_show(pg: Connection, dsn: str) -> None:
    call_id = await record_call(dsn)
    ann, bob, eve = [await add_user(pg, name) for name in ("ann", "bob", "eve")]
    await pg.execute("update voice_calls set user_id = $2 where id = $1", call_id, ann)
    await add_leg(pg, call_id, bob, "bob")
    whole = await read(pg, call_id)
    async with as_user(pg, ann):
        assert await read(pg, call_id) == whole
    async with as_user(pg, bob):
        seen = await read(pg, call_id)
    assert (seen.legs, seen.messages, seen.usage) == (whole.legs, whole.messages, [])
    async with as_user(pg, eve):
        assert await conversation(pg, call_id) == []


READERS: tuple[Callable[[Any, UUID], Awaitable[list[Any]]], ...] = (
    conversation,
    messages_of_call,
    legs_of_call,
    usage_of_call,
)


async def test_of_a_call_that_is_not_there_nothing_is_found(pg: Connection) -> None:
    for reader in READERS:
        assert await reader(pg, uuid4()) == []
