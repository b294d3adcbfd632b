"""Ten thousand messages in one statement: numbers and totals are as right as of one."""

from uuid import UUID

import pytest

from callrecord.postgres.store import Store
from tests.postgres.people import People
from tests.postgres.rows import add_message, total_tokens
from tests.postgres.server import Connection, as_role, as_user
from tests.unit.callrecord.calls import batch, message, started, usage

MANY = 10_000


async def contents_in_order(conn: Connection, call_id: UUID) -> list[tuple[int, str]]:
    rows = await conn.fetch(
        """
        select sequence_number, content from voice_messages where call_id = $1
        order by sequence_number
        """,
        call_id,
    )
    return [(row["sequence_number"], row["content"]) for row in rows]


async def entries_read(conn: Connection) -> int:
    """Return how many entries of the messages' table and indexes were ever read."""
    await conn.execute("select pg_stat_force_next_flush()")
    read: int = await conn.fetchval(
        """
        select seq_tup_read + (
            select sum(idx_tup_read) from pg_stat_user_indexes i where i.relid = t.relid
        )::bigint
        from pg_stat_user_tables t where relname = 'voice_messages'
        """
    )
    return read


@pytest.mark.every_postgres
@pytest.mark.parametrize("known", [False, True], ids=["no statistics", "of a small table"])
async def test_a_message_reads_no_more_of_a_long_call_than_of_a_short_one(
    pg: Connection, people: People, *, known: bool
) -> None:
    """Plans stay with the session, and were made when there was next to nothing."""
    if known:
        await pg.execute("analyze")
    before = await entries_read(pg)
    insert = "insert into voice_messages (call_id, role, content) select $1, 'user', n::text "
    await pg.execute(insert + "from generate_series(1, 2000) n", people.call)
    assert await entries_read(pg) - before <= 2 * 2000


@pytest.mark.parametrize("numbered", [False, True], ids=["no numbers", "numbers counted before"])
async def test_a_server_adds_many_messages_at_once(
    pg: Connection, people: People, *, numbered: bool
) -> None:
    async with as_role(pg, "service_role", {}):
        await pg.execute(
            """
            insert into voice_messages (call_id, role, content, tokens_used, sequence_number)
            select $1, 'user', n::text, 2, case when $2 then n end
            from generate_series(1, $3::int) n
            """,
            people.call,
            numbered,
            MANY,
        )
    # After the agent's reply, which was there first.
    found = (await contents_in_order(pg, people.call))[1:]
    assert found == [(n + 1, str(n)) for n in range(1, MANY + 1)]
    assert await total_tokens(pg, people.call) == 5 + 2 * MANY
    async with as_user(pg, people.root):
        deleted = await pg.execute("delete from voice_messages where call_id = $1", people.call)
    assert deleted == f"DELETE {MANY + 1}"
    assert await total_tokens(pg, people.call) == 5  # the request that led to the reply


async def test_a_batch_adds_many_messages_at_once_and_replayed_none(
    store: Store, pg: Connection, people: People
) -> None:
    header = started(call_id=str(people.eves_call))
    await add_message(pg, people.eves_call, tokens=1)
    turns = [message(str(n), tokens=2) for n in range(1, MANY + 1)]
    whole = batch(header, usage(7), *turns)
    for _ in range(2):
        await store.apply([whole])
        found = (await contents_in_order(pg, people.eves_call))[1:]
        assert found == [(n + 1, str(n)) for n in range(1, MANY + 1)]
        assert await total_tokens(pg, people.eves_call) == 1 + 7 + 2 * MANY


async def test_the_delete_of_a_call_with_many_messages_changes_no_other_total(
    store: Store, pg: Connection, people: People
) -> None:
    header = started(call_id=str(people.eves_call))
    turns = [message(str(n), tokens=2) for n in range(MANY)]
    requests = [usage(2, message_id=turn.id) for turn in turns[:1000]]
    await store.apply([batch(header, *turns, *requests, usage(7))])
    async with as_user(pg, people.eve):
        await pg.execute("delete from voice_calls where id = $1", people.eves_call)
    left = "select (select count(*) from voice_messages), (select count(*) from voice_usage)"
    row = await pg.fetchrow(left)
    assert row is not None
    assert tuple(row) == (1, 1)
    assert await total_tokens(pg, people.call) == 5
