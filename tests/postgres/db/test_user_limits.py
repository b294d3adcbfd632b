"""What users write is bounded and trusted for nothing but their own words."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from callrecord.events import Usage
from callrecord.postgres.store import Store
from tests.postgres.applied import apply
from tests.postgres.people import People
from tests.postgres.rows import add_call, add_message, add_usage
from tests.postgres.server import Connection, as_role, as_user
from tests.unit.callrecord.calls import batch, connected, ended, leg, message, started, usage

pytestmark = pytest.mark.every_postgres

KIB, MIB = 1024, 1024 * 1024
ADD_MESSAGE = "insert into voice_messages (call_id, role, content) values ($1, 'user', $2)"
ADD_CALL = "insert into voice_calls (user_id, session_id, room_name) values ($1, $2, 'r')"
TOTALS = """
select kind, model, sum(requests) as requests, sum(total_tokens) as tokens, sum(cost) as cost
from voice_worker.usage_totals group by 1, 2 having sum(requests) <> 0 order by 1, 2
"""


async def refused(pg: Connection, state: str, statement: str, *arguments: Any) -> str:
    """Run a statement that fails with this SQLSTATE; return what it says."""
    with pytest.raises(asyncpg.PostgresError) as failed:
        async with pg.transaction():
            await pg.execute(statement, *arguments)
    assert failed.value.sqlstate == state
    return str(failed.value)


ADD_METADATA = """
insert into voice_messages (call_id, role, content, metadata)
values ($1, 'user', '', jsonb_build_object('k', $2::text))
"""
ADD_LEG = """
insert into call_participants (call_id, participant_identity, metadata)
values ($1, 'a', jsonb_build_object('k', $2::text))
"""


@pytest.mark.parametrize(
    ("statement", "most"),
    [
        (ADD_MESSAGE, 64 * KIB),
        (ADD_METADATA, 64 * KIB - 9),
        ("update voice_calls set transcript = $2 where id = $1", MIB),
        (
            "update voice_calls set metadata = jsonb_build_object('k', $2::text) where id = $1",
            64 * KIB - 9,
        ),
        ("update voice_calls set recording_url = $2 where id = $1", 2 * KIB),
        (ADD_LEG, 64 * KIB - 9),
    ],
)
async def test_a_value_has_a_size(
    pg: Connection, people: People, statement: str, most: int
) -> None:
    """PostgREST answers 413. A server's own rows are its own affair."""
    async with as_user(pg, people.ann):
        await pg.execute(statement, people.call, "x" * most)
        told = await refused(pg, "PT413", statement, people.call, "x" * (most + 1))
    assert "at most" in told
    async with as_role(pg, "service_role", {}):
        await pg.execute(statement, people.call, "x" * (most + 1))


@pytest.mark.parametrize("at_once", [True, False])
async def test_rows_of_a_minute_are_counted(
    pg: Connection, people: People, *, at_once: bool
) -> None:
    """PostgREST answers 429. Others write on, and so does the user's server."""
    async with as_user(pg, people.ann), pg.transaction():
        if at_once:
            many = "select $1, 'user', n::text from generate_series(1, 601) n"
            insert = f"insert into voice_messages (call_id, role, content) {many}"
            assert "transaction" in await refused(pg, "PT429", insert, people.call)
        for number in range(600):
            await pg.execute(ADD_MESSAGE, people.call, str(number))
        for statement, *arguments in (
            (ADD_MESSAGE, people.call, "one more"),
            (ADD_CALL, people.ann, "one more"),
            ("update voice_calls set metadata = '{}' where id = $1", people.call),
        ):
            await refused(pg, "PT429", statement, *arguments)
    async with as_user(pg, people.bob):
        await pg.execute(ADD_MESSAGE, people.call, "bob")
    async with as_role(pg, "service_role", {}):
        await pg.execute(ADD_MESSAGE, people.call, "server")


async def test_bytes_of_a_minute_are_counted_and_the_limits_are_the_teams_to_set(
    pg: Connection, people: People
) -> None:
    async with as_user(pg, people.ann):
        for _ in range(63):
            await pg.execute(ADD_MESSAGE, people.call, "x" * (64 * KIB))
        assert "minute" in await refused(pg, "PT429", ADD_MESSAGE, people.call, "x" * (64 * KIB))
    await pg.execute("update voice_worker.user_limits set bytes_per_minute = 8000000")
    async with as_user(pg, people.ann):
        await pg.execute(ADD_MESSAGE, people.call, "x" * (64 * KIB))


async def test_a_time_of_a_wrong_clock_is_corrected(pg: Connection, people: People) -> None:
    """A browser whose clock is wrong must still be able to end its call."""
    far = ("infinity", "-infinity", "0002-01-01 BC", "9999-12-30", "2001-01-01")
    async with as_user(pg, people.ann):
        for time in far:
            await pg.execute(
                "insert into voice_messages (call_id, role, content, timestamp) "
                "values ($1, 'user', '', $2::text::timestamptz)",
                people.call,
                time,
            )
            await pg.execute(
                "update voice_calls set started_at = $2::text::timestamptz, "
                "connected_at = $2::text::timestamptz where id = $1",
                people.call,
                time,
            )
            row = await pg.fetchrow(
                "select created_at, started_at, connected_at from voice_calls where id = $1",
                people.call,
            )
            assert row is not None
            assert all(row["created_at"] <= each <= datetime.now(UTC) for each in row.values())
        spoken = await pg.fetch("select timestamp from voice_messages")
    day = timedelta(days=1, minutes=10)
    assert all(timedelta(0) <= datetime.now(UTC) - each["timestamp"] <= day for each in spoken)


async def test_times_that_were_not_given_stay_absent(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        row = await pg.fetchrow(
            "update voice_calls set status = 'active', connected_at = null where id = $1 "
            "returning started_at, connected_at, ended_at",
            people.call,
        )
    assert row is not None
    assert tuple(row) == (None, None, None)


async def test_figures_take_only_what_the_worker_measured(pg: Connection, people: People) -> None:
    async with as_user(pg, people.ann):
        await pg.execute(
            """
            insert into voice_messages (call_id, role, content, model_used, tokens_used, metadata)
            values ($1, 'user', '', '<b>', 2000000000, '{"implausible": {"e2e_latency_ms": 1}}')
            """,
            people.call,
        )
    assert not await pg.fetch("select * from voice_worker.latency_totals")
    assert await pg.fetchval("select sum(tokens_used) from voice_messages") == 5
    assert not await pg.fetch(
        "select * from latency_statistics('2026-01-01', '2100-01-01', of_user => $1)", people.ann
    )


async def test_who_wrote_a_message_is_known(pg: Connection, people: People) -> None:
    author = "select author_id from voice_messages where content = $1"
    async with as_user(pg, people.bob):
        await pg.execute(ADD_MESSAGE, people.call, "bob's")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pg.execute(
                "insert into voice_messages (call_id, role, content, author_id) "
                "values ($1, 'user', '', $2)",
                people.call,
                people.ann,
            )
    assert await pg.fetchval(author, "bob's") == people.bob
    async with as_role(pg, "service_role", {}):
        await pg.execute(ADD_MESSAGE, people.call, "server's")
    assert await pg.fetchval(author, "server's") is None


async def test_nobody_adds_to_somebody_elses_ended_call(pg: Connection, people: People) -> None:
    await pg.execute("update voice_calls set status = 'completed' where id = $1", people.call)
    async with as_user(pg, people.bob):
        await refused(pg, "42501", ADD_MESSAGE, people.call, "late")
    async with as_user(pg, people.ann):
        await pg.execute(ADD_MESSAGE, people.call, "my own")


async def test_a_transcript_has_a_size(store: Store, pg: Connection) -> None:
    """Also of rows from before there were limits: ten megabytes each."""
    call = await apply(store, batch(started(), message("first")))
    await pg.execute(
        "insert into voice_messages (call_id, role, content, timestamp) "
        "select $1, 'user', repeat('x', 10000000), now() from generate_series(1, 30)",
        call,
    )
    for _ in range(60):
        await add_message(pg, call)  # type: ignore[arg-type]
    await pg.execute(
        "update voice_messages set content = repeat('y', 20000) where content = 'words'"
    )
    async with as_role(pg, "service_role", {}):
        await pg.execute("update voice_calls set status = 'completed' where id = $1", call)
    text = await pg.fetchval("select transcript from voice_calls where id = $1", call)
    assert text.endswith("\n[...]")
    assert len(text) < MIB / 4 + 10 * KIB
    assert max(map(len, text.splitlines())) < 17 * KIB


async def test_a_call_whose_transcript_fails_ends_all_the_same_and_so_do_the_others(
    pg: Connection, people: People
) -> None:
    await pg.execute(
        """
        create or replace function voice_worker.transcript_of(of_call uuid) returns text
        language plpgsql as $$
        begin
            if of_call = (select id from public.voice_calls where session_id = 'bad') then
                raise exception 'out of luck';
            end if;
            return 'fine';
        end $$
        """
    )
    holder = UUID(int=7)
    calls = [await add_call(pg, people.eve, "active") for _ in range(2)]
    await pg.execute("update voice_calls set worker_id = $2 where id = any ($1)", calls, holder)
    await pg.execute("update voice_calls set session_id = 'bad' where id = $1", calls[0])
    await pg.execute("select voice_worker.sweep_calls($1, $2)", calls, [holder])
    ends = await pg.fetch("select status, transcript from voice_calls where id = any ($1)", calls)
    assert {tuple(each) for each in ends} == {("failed", None), ("failed", "fine")}


@pytest.mark.parametrize("price", [True, False])
async def test_what_a_deleted_call_consumed_stays_counted(
    store: Store, pg: Connection, people: People, *, price: bool
) -> None:
    """Also what its agent asks of models after that, told once or twice; nothing names the call."""
    model = "gpt-4.1" if price else "mine"
    call_id = await add_call(pg, people.ann)
    header = started(call_id=str(call_id))

    now = datetime.now(UTC)

    def request() -> Usage:
        return usage(100, provider="api.openai.com", model=model, input_tokens=90, at=now)

    early, late = request(), request()
    assert await apply(store, batch(header, leg(), message(), early)) == call_id
    async with as_user(pg, people.ann):
        assert await pg.execute("delete from voice_calls where id = $1", call_id) == "DELETE 1"
    for _ in range(2):
        after = batch(header, message("late"), early, late, connected(), ended(), first=9)
        assert await apply(store, after) is None
    (total,) = [row for row in await pg.fetch(TOTALS) if row["model"] == model]
    assert (total["requests"], total["tokens"]) == (2, 200)
    assert (total["cost"] > 0) == price
    ids = await pg.fetch("select id from voice_worker.deleted_usage")
    assert {each["id"] for each in ids} == {early.id, late.id}
    assert not await pg.fetchval("select count(*) from voice_messages where content = 'late'")


async def test_what_is_old_is_pruned(pg: Connection, people: People) -> None:
    for table, column in (("tombstones", "deleted_at"), ("deleted_rows", "deleted_at")):
        name = "call_id" if table == "tombstones" else "id"
        await pg.execute(
            f"insert into voice_worker.{table} ({name}, {column}) values "  # noqa: S608
            "(gen_random_uuid(), now() - interval '91 days'), "
            "(gen_random_uuid(), now() - interval '89 days')"
        )
    await pg.execute(
        "insert into voice_worker.user_writes values ($1, now() - interval '2 hours', 1, 1), "
        "($1, now(), 1, 1)",
        people.ann,
    )
    await pg.execute("select voice_worker.prune()")
    for table in ("tombstones", "deleted_rows", "user_writes"):
        assert await pg.fetchval(f"select count(*) from voice_worker.{table}") == 1  # noqa: S608


async def test_totals_that_were_loaded_beside_the_triggers_are_made_right(pg: Connection) -> None:
    """As a restore of data alone does: the rows fire triggers, and the totals are loaded too."""
    call = await add_call(pg)
    reply = await add_message(pg, call, "assistant", tokens=5)
    await add_usage(pg, call, reply, tokens=5)
    await add_usage(pg, call, None, tokens=7)
    right = await pg.fetch(TOTALS)
    await pg.execute(
        "insert into voice_worker.usage_totals select quarter_hour, kind, provider, "
        "model, 77, requests, input_tokens, cached_input_tokens, output_tokens, "
        "total_tokens, audio_ms, characters, cost, unpriced_requests "
        "from voice_worker.usage_totals"
    )
    await pg.execute("update voice_calls set total_tokens_used = 99, cost = 3")
    for _ in range(2):
        await pg.execute("call voice_worker.recount_usage()")
        await pg.execute("call voice_worker.recount_latency()")
        await pg.fetch("select * from voice_worker.recount_calls($1, 10)", UUID(int=0))
        assert await pg.fetch(TOTALS) == right
        row = await pg.fetchrow("select total_tokens_used, cost from voice_calls")
        assert row is not None
        assert tuple(row) == (12, None)


async def test_open_calls_of_a_user_are_bounded(pg: Connection, people: People) -> None:
    """They would be in everybody's way who looks for those that go on."""
    async with as_user(pg, people.ann):
        for number in range(99):  # one goes on already
            await pg.execute(ADD_CALL, people.ann, f"n{number}")
        assert "not ended" in await refused(pg, "PT429", ADD_CALL, people.ann, "one more")
        await pg.execute("update voice_calls set status = 'completed' where session_id = 'n7'")
        await pg.execute(ADD_CALL, people.ann, "one more")
    async with as_role(pg, "service_role", {}):
        await pg.execute(ADD_CALL, people.ann, "by the server")
