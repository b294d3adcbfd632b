"""The numbers of a call's messages: unique, increasing, never changed."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.postgres.rows import add_call, add_message, add_user
from tests.postgres.server import Connection, as_user

REPLAY = """
insert into voice_messages (id, call_id, role, content)
select id, $1, 'assistant', 'words' from unnest($2::uuid[]) with ordinality as r (id, place)
order by place
on conflict (id) do update set content = excluded.content
"""


async def numbers(conn: Connection, call_id: UUID) -> list[int]:
    rows = await conn.fetch(
        "select sequence_number from voice_messages where call_id = $1 order by sequence_number",
        call_id,
    )
    return [row["sequence_number"] for row in rows]


GIVEN_AND_STORED: list[tuple[list[int | None], list[int]]] = [
    ([None, None, None], [1, 2, 3]),
    ([0, 0], [1, 2]),
    ([1, 2, 2, 1], [1, 2, 3, 4]),  # two writers who counted the same messages
    ([1, 5, 3, None], [1, 5, 6, 7]),
    ([-4, 2], [1, 2]),
    ([2147483647, None], [1, 2]),  # does not use up the numbers of those who follow
]


@pytest.mark.every_postgres
async def test_a_missing_taken_or_old_number_becomes_the_next_one(pg: Connection) -> None:
    for given, stored in GIVEN_AND_STORED:
        call = await add_call(pg)
        for number in given:
            await add_message(pg, call, number=number)
        assert await numbers(pg, call) == stored


async def test_steps_as_wide_as_they_may_be_do_not_use_up_the_numbers(pg: Connection) -> None:
    call = await add_call(pg)
    await pg.execute("set session_replication_role = replica")
    await add_message(pg, call, number=999_999_500)
    await pg.execute("set session_replication_role = default")
    for number in (1_000_000_400, 1_000_000_000, 1_000_000_900):
        await add_message(pg, call, number=number)
    assert (await numbers(pg, call))[1:] == [999_999_501, 1_000_000_000, 1_000_000_001]


async def test_a_replay_uses_up_no_numbers(pg: Connection) -> None:
    call = await add_call(pg)
    ids = [uuid4() for _ in range(5)]
    await pg.execute(REPLAY, call, ids[:3])
    await pg.execute(REPLAY, call, ids[:3])
    await pg.execute(REPLAY, call, ids)
    rows = await pg.fetch("select id, sequence_number from voice_messages order by sequence_number")
    assert [tuple(row) for row in rows] == [(id_, n) for n, id_ in enumerate(ids, start=1)]


async def test_a_number_is_never_changed(pg: Connection) -> None:
    call = await add_call(pg)
    await add_message(pg, call)
    await pg.execute("update voice_messages set sequence_number = 9, content = 'other'")
    row = await pg.fetchrow("select sequence_number, content from voice_messages")
    assert row is not None
    assert tuple(row) == (1, "other")


async def test_a_user_who_poses_as_the_worker_is_numbered_like_everybody(pg: Connection) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(pg, ann)
    await pg.execute("select set_config('voice_worker.applying', 'on', false)")
    async with as_user(pg, ann):
        await add_message(pg, call, number=2147483647)
        await add_message(pg, call)
    assert await numbers(pg, call) == [1, 2]


async def test_a_message_of_an_unknown_call_is_a_foreign_key_violation(pg: Connection) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await add_message(pg, uuid4())


async def test_front_end_and_worker_who_count_at_once_both_succeed(
    pg: Connection, database_url: str
) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(pg, ann)
    rounds = 15
    worker = await asyncpg.connect(database_url)
    try:

        async def work() -> None:
            for _ in range(rounds):
                await worker.execute(REPLAY, call, [uuid4(), uuid4()])

        async def type_in() -> None:
            for _ in range(rounds):
                count = await pg.fetchval("select count(*) from voice_messages")
                await pg.execute(
                    """
                    insert into voice_messages (call_id, role, content, sequence_number)
                    values ($1, 'user', 'words', $2)
                    """,
                    call,
                    count + 1,
                )

        async with as_user(pg, ann):
            await asyncio.gather(work(), type_in())
        assert await numbers(pg, call) == list(range(1, 3 * rounds + 1))
    finally:
        await worker.close()
