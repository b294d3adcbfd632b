"""Attacks by signed-in users: each worked once."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.outbox.refused_files import RefusedEvent
from callrecord.postgres.store import Store
from callrecord.postgres.workers import Workers
from tests.postgres.applied import apply
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.people import People
from tests.postgres.rows import add_call
from tests.postgres.server import Connection, as_role, as_user
from tests.unit.callrecord.calls import (
    batch,
    connected,
    ended,
    enlisted,
    message,
    started,
    usage,
)
from tests.waiting import until

pytestmark = pytest.mark.every_postgres

WAITS = "select count(*) from pg_locks where not granted"
INSERT = "insert into voice_calls (id, user_id, session_id, room_name) values ($1, $2, $3, 'r')"


async def take_with_displaced_form(pg: Connection, user: UUID, name: str) -> None:
    """Take a name, and the one that this row would be given when it has to give it up."""
    ahead = uuid4()
    async with as_user(pg, user):
        await pg.execute(INSERT, ahead, user, name)
        await pg.execute(INSERT, uuid4(), user, f"{name}@{ahead}")


# 1. Names ---------------------------------------------------------------------------------------


async def test_name_and_displaced_name_taken_hold_up_no_other_user(
    pg: Connection, people: People
) -> None:
    """Ann's insert succeeds: free_name finds a name that is free."""
    await take_with_displaced_form(pg, people.eve, "anns-room")
    async with as_user(pg, people.ann):
        await pg.execute(INSERT, uuid4(), people.ann, "anns-room")


async def test_name_and_displaced_name_taken_cost_no_batch(
    store: Store, pg: Connection, people: People
) -> None:
    """The call of a SIP room, or of a server, is stored under some name."""
    await take_with_displaced_form(pg, people.eve, "anns-room")
    assert await apply(store, batch(started(room_name="anns-room"), message())) is not None


async def test_name_and_displaced_name_taken_hold_up_no_claim(
    store: Store, pg: Connection, people: People
) -> None:
    """Ann's row, displaced before, is claimed by its callId, under whatever name."""
    call = uuid4()
    async with as_user(pg, people.ann):
        await pg.execute(INSERT, call, people.ann, "anns-room")
    await take_with_displaced_form(pg, people.eve, "anns-room")
    header = started(room_name="anns-room", call_id=str(call))
    assert await apply(store, batch(header, message())) == call


async def test_a_name_being_taken_while_it_is_given_back_refuses_no_batch(
    store: Store, pg: Connection, people: People, database_url: str
) -> None:
    """The name stays where it is: a refused batch would be put aside for good."""
    call, ahead = uuid4(), uuid4()
    async with as_user(pg, people.ann):
        await pg.execute(INSERT, call, people.ann, "anns-room")
    async with as_user(pg, people.eve):
        await pg.execute(INSERT, ahead, people.eve, "anns-room")
        await pg.execute("delete from voice_calls where id = $1", ahead)
    eve = await asyncpg.connect(database_url)
    try:
        async with as_user(eve, people.eve):
            slow = eve.transaction()  # one statement that takes a second, such as 600 rows
            await slow.start()
            await eve.execute(INSERT, uuid4(), people.eve, "anns-room")
            header = started(room_name="anns-room", call_id=str(call))
            going = asyncio.create_task(apply(store, batch(header, message())))
            await until(lambda: pg.fetchval(WAITS), what="the batch to wait for Eve's name")
            await slow.commit()
        assert await going == call
    finally:
        await eve.close()


async def test_a_name_being_taken_meanwhile_holds_up_no_insert(
    pg: Connection, people: People, database_url: str
) -> None:
    """Ann's insert succeeds, as it does when Eve's row was there a second earlier."""
    eve, ann = [await asyncpg.connect(database_url) for _ in range(2)]
    try:
        async with as_user(eve, people.eve), as_user(ann, people.ann):
            slow = eve.transaction()
            await slow.start()
            await eve.execute(INSERT, uuid4(), people.eve, "anns-room")
            going = asyncio.create_task(ann.execute(INSERT, uuid4(), people.ann, "anns-room"))
            await until(lambda: pg.fetchval(WAITS), what="Ann to wait for Eve's name")
            await slow.commit()
            await going
    finally:
        await eve.close()
        await ann.close()


async def test_nobody_displaces_names_without_a_row_of_his_own_and_uncounted(
    pg: Connection, people: People
) -> None:
    """An upsert that ignores duplicates inserts nothing, is not counted, and renames all the same.

    only who really takes the name displaces it.
    """
    anns, eves = uuid4(), uuid4()
    async with as_user(pg, people.ann):
        await pg.execute(INSERT, anns, people.ann, "anns-room")
    async with as_user(pg, people.eve):
        await pg.execute(INSERT, eves, people.eve, "eves")
    rows = "select coalesce(sum(rows), 0) from voice_worker.user_writes"
    counted = await pg.fetchval(rows)
    async with as_user(pg, people.eve):
        done = await pg.execute(INSERT + " on conflict do nothing", eves, people.eve, "anns-room")
    assert done == "INSERT 0 0"
    assert await pg.fetchval(rows) == counted
    assert await pg.fetchval("select session_id from voice_calls where id = $1", anns) == (
        "anns-room"
    )


async def test_a_name_displaced_twice_is_given_back(
    store: Store, pg: Connection, people: People
) -> None:
    """Bob, who was called, knows the call's id. the room gives its row the name back."""
    call = uuid4()
    async with as_user(pg, people.ann):
        await pg.execute(INSERT, call, people.ann, "anns-room")
    await pg.execute("update voice_calls set callee_id = $2 where id = $1", call, people.bob)
    async with as_user(pg, people.bob):
        await pg.execute(INSERT, uuid4(), people.bob, "anns-room")
        await pg.execute(INSERT, uuid4(), people.bob, f"anns-room@{call}")
    header = started(room_name="anns-room", call_id=str(call))
    assert await apply(store, batch(header, message())) == call
    name = await pg.fetchval("select session_id from voice_calls where id = $1", call)
    assert name == "anns-room"


# 1. The worker's other statements ---------------------------------------------------------------


async def test_a_leg_that_a_user_added_stops_no_look_at_legs(
    store: Store, workers: Workers, pg: Connection, people: People
) -> None:
    """A leg without LiveKit's id is nobody's in the room."""
    call = await add_call(pg, people.eve)
    header = started(call_id=str(call))
    await apply(store, batch(header, connected(), message()))
    async with as_user(pg, people.eve):
        await pg.execute(
            "insert into call_participants (call_id, participant_identity) values ($1, 'me')", call
        )
    await apply(store, batch(header, ended("transferred"), first=9))
    await workers.open_legs()


# 4. Limits --------------------------------------------------------------------------------------


async def test_bytes_are_bounded_before_they_are_written(pg: Connection, people: People) -> None:
    """Refused, uncounted, and on the disk all the same: again and again.

    Each row is counted before it is made, so that a statement stops at bytes_per_minute.
    """
    size = "select pg_total_relation_size('voice_messages')"
    before = await pg.fetchval(size)
    async with as_user(pg, people.ann):
        for _ in range(2):
            with pytest.raises(asyncpg.PostgresError) as failed:
                await pg.execute(
                    "insert into voice_messages (call_id, role, content) select $1, 'user', "
                    "(select string_agg(md5(n::text || k), '') from generate_series(1, 2000) k) "
                    "from generate_series(1, 600) n",
                    people.call,
                )
            assert failed.value.sqlstate == "PT429"
    grown = (await pg.fetchval(size) - before) / 2**20
    assert grown < 2 * 8, f"{grown:.0f} MiB for two refused statements; the limit is 4 MiB a minute"


async def test_a_transcript_has_a_megabyte_of_words_in_any_alphabet(
    store: Store, pg: Connection
) -> None:
    """Bytes of left(content, 16384) are counted, not at most 16384 of them."""
    call = await apply(store, batch(started(), message("first")))
    await pg.execute(
        "insert into voice_messages (call_id, role, content) "
        "select $1, 'user', repeat('\U0001f600', 16384) from generate_series(1, 63)",
        call,
    )
    async with as_role(pg, "service_role", {}):
        await pg.execute("update voice_calls set status = 'completed' where id = $1", call)
    size = await pg.fetchval("select octet_length(transcript) from voice_calls where id = $1", call)
    assert size < 1048576 + 10 * 1024


# 2. Others' calls -------------------------------------------------------------------------------


async def test_who_is_in_a_call_pushes_no_words_out_of_its_transcript(
    store: Store, pg: Connection, people: People
) -> None:
    """A turn of a user is not dated before its call was made (as its times are not)."""
    header = started(call_id=str(people.call))
    now = datetime.now(UTC)
    async with as_user(pg, people.bob):
        await pg.execute(
            "insert into voice_messages (call_id, role, content, timestamp) "
            "select $1, 'user', repeat('x', 16384), now() - interval '20 hours' "
            "from generate_series(1, 64)",
            people.call,
        )
    await apply(store, batch(header, message("what Ann said", at=now), ended()))
    text = await pg.fetchval("select transcript from voice_calls where id = $1", people.call)
    assert "what Ann said" in text


async def test_a_pending_row_from_before_the_upgrade_is_given_no_other_call(
    empty_database_url: str,
) -> None:
    """Adopted rows get made_by of who migrates, so they are found by name; swept ones too.

    a row with a user_id that was there before is marked as a user's (at the latest when a
    sweep has ended it), or found by name only if it is younger than its room.
    """
    apply_seed(empty_database_url, "supabase", "users", "enhanced")
    eve = UUID("00000000-0000-4000-8000-000000000002")
    pg = await asyncpg.connect(empty_database_url)
    try:
        await pg.execute(
            "insert into voice_calls (user_id, session_id, room_name) values ($1, 'support', 'r')",
            eve,
        )
        assert (await run(empty_database_url, "migrate", "--as-is"))[0] == 0
        async with enlisted(empty_database_url) as url:
            store = Store(url)
            await apply(store, batch(started(room_name="support"), message("of a stranger")))
            await store.close()
        async with as_user(pg, eve):
            assert await pg.fetch("select content from voice_messages") == []
    finally:
        await pg.close()


# 5. Deleting ------------------------------------------------------------------------------------

TOTAL = "select sum(requests)::int from voice_worker.usage_totals where model = 'mine'"


async def test_a_deleted_request_that_is_told_again_counts_once(
    store: Store, pg: Connection
) -> None:
    """service_role deletes a request of a call that stays; its file is shipped again.

    voice_usage has deleted_rows as messages and legs have (or apply_usage skips what is in
    deleted_usage).
    """
    header, request = started(), usage(100, model="mine")
    call = await apply(store, batch(header, request))
    async with as_role(pg, "service_role", {}):
        await pg.execute("delete from voice_usage where call_id = $1", call)
    assert await pg.fetchval(TOTAL) == 1
    await apply(store, batch(header, request))
    assert await pg.fetchval(TOTAL) == 1


async def test_nothing_names_a_deleted_call_in_refused_events(
    store: Store, pg: Connection, people: People
) -> None:
    """Refused events of the call go with it: raw holds what was said, header the room."""
    header = started(call_id=str(people.call))
    await apply(store, batch(header, message()))
    await store.refuse(
        RefusedEvent(
            source="f", byte_offset=1, call_id=people.call, call_key=header.key,
            job_id=header.job_id, raw=b"what was said", sqlstate="22000", error="no", header=header,
            refused_at=datetime.now(UTC),
        )
    )  # fmt: skip
    async with as_user(pg, people.ann):
        await pg.execute("delete from voice_calls where id = $1", people.call)
    assert await pg.fetch("select raw from voice_worker.refused_events") == []
