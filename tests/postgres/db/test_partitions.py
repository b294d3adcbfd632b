"""The way to partitions by month, should one table ever be too little.

What the routines have to say differently, and the step in place, are kept here and tried with each
change, so that the way stays open. Why they are not used: docs/decisions/partitions.md.
"""

from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from callrecord.postgres.store import Store
from callrecord.schema.routines import Routine, Routines, apply_routines, read_routines
from tests.postgres.applied import apply, snapshot
from tests.postgres.people import People
from tests.postgres.rows import total_tokens
from tests.postgres.server import Connection, as_user
from tests.unit.callrecord.calls import batch, connected, ended, leg, message, started, usage

pytestmark = pytest.mark.every_postgres

IN_PLACE = Path(__file__).with_name("partitions.sql").read_text(encoding="utf-8")
# A row is found by its call and its id: an id alone is looked for in every partition.
DIFFERENCES = {
    "messages/apply_messages.sql": [
        ("on conflict (id)", "on conflict (call_id, id)"),
        ("where m.id = g.id)", "where m.call_id = g.call_id and m.id = g.id)"),
    ],
    "usage/apply_usage.sql": [("on conflict (id)", "on conflict (call_id, id)")],
    "messages/number_message.sql": [
        ("where id = new.id)", "where call_id = new.call_id and id = new.id)")
    ],
}
NEXT_MONTH = """
    select (
        lpad(to_hex((extract(epoch from month) * 1000)::bigint), 12, '0') || '70008000000000000000'
    )::uuid
    from (select date_trunc('month', now()) + interval '1 month') m (month)
"""


def for_partitions() -> Routines:
    routines = read_routines()
    return replace(routines, files=[_changed(each) for each in routines.files])


def _changed(routine: Routine) -> Routine:
    text = routine.text
    for old, new in DIFFERENCES.get(routine.name, []):
        assert text.count(old) == 1, f"{routine.name} has changed"
        text = text.replace(old, new)
    return replace(routine, text=text)


async def turn_over(pg: Connection) -> None:
    """Go the documented way, without copying a row."""
    edge = await pg.fetchval(NEXT_MONTH)
    for home in ("voice_messages", "voice_usage"):
        await pg.execute(
            f"create unique index concurrently {home}_call_id_id on public.{home} (call_id, id)"
        )
        await pg.execute(
            f"alter table public.{home} add constraint {home}_until check (call_id < '{edge}')"
        )
    async with pg.transaction():
        await pg.execute(IN_PLACE)
        await apply_routines(pg, for_partitions())


async def test_a_database_is_turned_over_in_place_and_takes_calls_as_before(
    store: Store, pg: Connection, people: People
) -> None:
    """No row changes; replays change nothing, and rights are the same."""
    words = message("of the call")
    request = usage(7, message_id=words.id)
    before = batch(started(), leg(), words, connected(), request)
    row = await apply(store, before)
    stored = await snapshot(pg)
    await turn_over(pg)
    assert await snapshot(pg) == stored
    await apply(store, before)
    assert await snapshot(pg) == stored

    later = batch(started(), leg(), message("later", tokens=3), usage(5), ended())
    new = await apply(store, later)
    assert new is not None
    assert new != row
    assert await total_tokens(pg, new) == 8
    stored = await snapshot(pg)
    await apply(store, later)
    assert await snapshot(pg) == stored

    async with as_user(pg, people.ann):
        seen = await pg.fetch("select id from voice_messages")
        assert [each["id"] for each in seen] == [people.reply]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pg.fetch("select * from voice_messages_before")


async def test_a_call_of_a_later_month_has_its_own_partition_and_an_old_one_can_be_put_away(
    store: Store, pg: Connection
) -> None:
    """A month that is detached keeps its totals: no trigger fires."""
    call = await apply(store, batch(started(), message("old", tokens=3), usage(5)))
    assert call is not None
    await turn_over(pg)
    await pg.execute(
        f"""
        with new as (
            insert into voice_calls (id, session_id, room_name) values (({NEXT_MONTH}), 'n', 'n')
            returning id
        )
        insert into voice_messages (call_id, role, content) select id, 'user', 'new' from new
        """  # noqa: S608
    )
    places = await pg.fetch(
        "select tableoid::regclass::text, content from voice_messages order by 2 desc"
    )
    assert [tuple(each) for each in places] == [
        ("voice_messages_before", "old"),
        ("voice_messages_1", "new"),
    ]
    await pg.execute("alter table voice_usage detach partition voice_usage_before")
    await pg.execute("alter table voice_messages detach partition voice_messages_before")
    await pg.execute("drop table voice_usage_before, voice_messages_before")
    assert [each["content"] for each in await pg.fetch("select content from voice_messages")] == [
        "new"
    ]
    assert await total_tokens(pg, call) == 8
