"""The tables from before stay until their owner drops them, and there is a way back to them."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

from callrecord.schema.migrate import MIGRATIONS, migrate
from callrecord.schema.set_aside import DropError, drop_before
from local.places import PROJECT
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.by_psql import UNINSTALL, apply_with_psql
from tests.postgres.callrecord.schema.catalogue import catalogue, rows
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.server import Connection, psql

pytestmark = pytest.mark.every_postgres

IN_BEFORE = (
    "select array_agg(tablename::text order by tablename) from pg_tables where schemaname = $1"
)


@pytest.fixture
async def basic(empty_database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with the basic schema, 240 calls in it."""
    apply_seed(empty_database_url, "users")
    psql(empty_database_url, "-f", str(MIGRATIONS / "010_voice_calls.sql"))
    apply_seed(empty_database_url, "basic_rows")
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def kept(conn: Connection) -> list[str] | None:
    names: list[str] | None = await conn.fetchval(IN_BEFORE, "voice_before")
    return names


KEPT = ["brought_over", "call_participants", "voice_calls"]


async def test_migrate_says_that_they_are_there_and_drops_them_when_told(
    basic: Connection, empty_database_url: str
) -> None:
    told = (
        "the tables from before are kept in voice_before (voice_calls, call_participants): "
        "run `migrate --drop-before` to drop them"
    )
    for _ in range(2):
        code, output, errors = await run(empty_database_url, "migrate")
        assert (code, errors) == (0, "")
        assert output.splitlines()[-1] == told
    code, output, errors = await run(empty_database_url, "migrate", "--drop-before")
    assert (code, errors) == (0, "")
    assert output.splitlines()[1:] == [
        "voice_before.voice_calls: 240 rows",
        "voice_before.call_participants: 720 rows",
        "dropped",
    ]
    assert await basic.fetchval("select to_regnamespace('voice_before')") is None
    assert await basic.fetchval("select count(*) from voice_calls") == 240
    code, output, errors = await run(empty_database_url, "migrate", "--drop-before")
    assert (code, errors) == (0, "")
    assert output.splitlines()[1:] == ["no tables from before are kept"]


@pytest.mark.parametrize(
    ("needs", "complaint"),
    [
        (
            "insert into voice_before.voice_calls (room_name, caller_id) values ('late', 'bob')",
            "1 row(s) of voice_before.voice_calls are not in public.voice_calls: nothing was",
        ),
        (
            """
            insert into voice_before.call_participants (call_id, user_id)
            select id, 'late' from voice_before.voice_calls limit 3
            """,
            "3 row(s) of voice_before.call_participants are not in public.call_participants",
        ),
        (
            "create view long_calls as select id from voice_before.voice_calls",
            "(view long_calls depends on table voice_before.voice_calls): change or drop that",
        ),
        ("delete from voice_before.brought_over", "were not brought over: nothing was dropped"),
    ],
    ids=["a call", "legs", "a view", "no mark"],
)
async def test_what_is_still_needed_is_not_dropped(
    basic: Connection, empty_database_url: str, needs: str, complaint: str
) -> None:
    await migrate(empty_database_url)
    await basic.execute(needs)
    before = await rows(empty_database_url)
    code, output, errors = await run(empty_database_url, "migrate", "--drop-before")
    assert code == 1
    assert complaint in errors
    assert len(errors.splitlines()) == 1
    assert "dropped" not in output
    assert await kept(basic) == KEPT
    assert await rows(empty_database_url) == before


async def test_what_was_deleted_since_is_not_missed(
    basic: Connection, empty_database_url: str
) -> None:
    await migrate(empty_database_url)
    await basic.execute("delete from voice_calls where room_name = 'support'")
    await basic.execute(
        "delete from call_participants where user_id = '00000000-0000-4000-8000-000000000002'"
    )
    await drop_before(empty_database_url)
    assert await kept(basic) is None


async def test_rows_do_not_come_over_twice(basic: Connection, empty_database_url: str) -> None:
    await migrate(empty_database_url)
    await basic.execute("update voice_before.voice_calls set room_name = 'changed since'")
    before = await rows(empty_database_url), await catalogue(empty_database_url)
    for flags in ((), ("-1",)):
        apply_with_psql(empty_database_url, *flags)
        assert (await rows(empty_database_url), await catalogue(empty_database_url)) == before


async def test_the_way_back(basic: Connection, empty_database_url: str) -> None:
    """The SQL of docs/schema.md: everything is as it was, and may be brought over again."""
    told = re.search(
        r"\*\*The way back\.\*\*.*?```sql\n(.*?)```",
        (PROJECT / "docs/schema.md").read_text(),
        re.DOTALL,
    )
    assert told
    before, catalogue_before = await rows(empty_database_url), await catalogue(empty_database_url)
    await migrate(empty_database_url)
    await basic.execute("insert into voice_calls (session_id, room_name) values ('new', 'new')")
    psql(empty_database_url, "-f", str(UNINSTALL))
    await basic.execute(told[1])
    found, found_catalogue = await rows(empty_database_url), await catalogue(empty_database_url)
    assert {name: found[name] for name in before} == before
    assert {name: found_catalogue.get(name) for name in catalogue_before} == catalogue_before
    assert await basic.fetchval("select count(*) from voice_after.voice_calls") == 241
    await migrate(empty_database_url)
    assert await basic.fetchval("select count(*) from voice_calls") == 240


async def test_nobody_waits_for_ever(basic: Connection, empty_database_url: str) -> None:
    """A call that was under way ends if nothing is known of it for a day; others are looked for."""
    await basic.execute(
        """
        alter table voice_calls drop constraint voice_calls_status_check;
        delete from voice_calls;
        insert into voice_calls (room_name, caller_id, status, started_at, created_at)
        select name, 'x', status, now() - age, now() - age from (values
            ('now', 'connected', interval '1 hour'), ('long', 'in-progress', '30 hours'),
            ('lost', 'Active', '30 hours'), ('ahead', 'active', '-1 year')
        ) t (name, status, age);
        insert into call_participants (call_id, user_id, joined_at)
        select id, 'x', case room_name when 'long' then now() - interval '2 hours'
            else created_at + interval '1 minute' end
        from voice_calls;
        """
    )
    await migrate(empty_database_url)
    found = await basic.fetch(
        """
        select c.session_id, c.status::text, c.end_reason, c.swept_at = c.ended_at as guessed,
            p.left_at = greatest(p.joined_at, c.ended_at) and p.closed_by_sweep as closed,
            c.ended_at - c.started_at = interval '1 minute' as at_last_known
        from voice_calls c join call_participants p on p.call_id = c.id order by 1
        """
    )
    assert [tuple(row) for row in found] == [
        ("ahead", "failed", "not_served", True, True, False),
        ("long", "active", None, None, False, None),
        ("lost", "failed", "not_served", True, True, True),
        ("now", "active", None, None, False, None),
    ]
    waiting = "select room from voice_worker.unserved('0 s') order by 1"
    assert [row["room"] for row in await basic.fetch(waiting)] == ["long", "now"]
    # Whoever knows better is right.
    await basic.execute("update voice_calls set status = 'completed' where session_id = 'lost'")
    ended = "select status::text from voice_calls where session_id = 'lost'"
    assert await basic.fetchval(ended) == "completed"


async def test_they_are_not_dropped_before_they_came_over(
    basic: Connection, empty_database_url: str
) -> None:
    apply_with_psql(empty_database_url, files=sorted(MIGRATIONS.glob("01*.sql")))
    with pytest.raises(DropError, match="not brought over"):
        await drop_before(empty_database_url)
    assert await kept(basic) == ["call_participants", "voice_calls"]
