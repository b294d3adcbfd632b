"""Functions, triggers, views, policies, grants: applied as a whole, and only if they differ."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from callrecord.postgres.schema_version import SCHEMA_VERSION_NEEDED
from callrecord.schema import routines as module
from callrecord.schema.migrate import migrate
from callrecord.schema.routines import (
    ROUTINES,
    Routine,
    Routines,
    RoutinesError,
    apply_routines,
    psql_file,
    read_routines,
)
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.by_psql import PSQL_ROUTINES, UNINSTALL
from tests.postgres.callrecord.schema.catalogue import catalogue, differences, rows
from tests.postgres.rows import add_call, add_message
from tests.postgres.server import Connection, psql
from tests.waiting import until

pytestmark = pytest.mark.every_postgres

FILES = sorted(path.relative_to(ROUTINES).as_posix() for path in ROUTINES.rglob("*.sql"))
WAITED_FOR = """
select exists (
    select from pg_locks l join pg_database d on d.oid = l.database
    where not l.granted and d.datname = current_database() and l.locktype = 'relation'
)
"""
OTHER = "update voice_worker.schema_version set routines = 'other'"
# Whatever is executed leaves rows of the catalogue that another transaction has written.
WRITTEN = """
select md5(string_agg(x::text, ' ' order by x)) from (
    select format('%s %s', oid, xmin) from pg_proc where pronamespace::regnamespace::text ~ '^voice'
    union all select format('%s %s', oid, xmin) from pg_policy
    union all select format('%s %s', oid, xmin) from pg_trigger where not tgisinternal
    union all select format('%s %s', oid, xmin) from pg_class where relkind in ('r', 'v')
        and relnamespace::regnamespace::text in ('public', 'voice_worker')
    union all select format('%s %s', version, xmin) from voice_worker.schema_version
) w (x)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for a lock, and between two attempts."""
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(module, "PAUSE_S", 0.1)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_the_same_routines_execute_nothing(pg: Connection, database_url: str) -> None:
    before = await pg.fetchval(WRITTEN)
    assert not (await migrate(database_url)).routines
    assert not await apply_routines(pg)
    assert await pg.fetchval(WRITTEN) == before
    await pg.execute(OTHER)
    assert (await migrate(database_url)).routines
    assert await pg.fetchval(WRITTEN) != before


async def test_what_somebody_has_changed_is_mended_with_the_next_ones(
    pg: Connection, database_url: str
) -> None:
    before = await catalogue(database_url)
    await pg.execute(
        """
        create or replace function voice_worker.leave(me uuid) returns void language sql as '';
        drop trigger voice_calls_block_reopen_trigger on voice_calls;
        drop policy voice_calls_select_own on voice_calls;
        revoke select on voice_calls from authenticated;
        grant truncate on voice_calls to service_role;
        grant insert on voice_usage to authenticated, anon;
        drop view turn_costs;
        comment on column voice_calls.room_name is null;
        alter table voice_calls alter column id drop default;
        create procedure voice_worker.schema_reached(int, int) language sql as '';
        """
    )
    assert await catalogue(database_url) != before
    await pg.execute(OTHER)
    await migrate(database_url)
    assert differences(await catalogue(database_url), before) == []


async def test_rights_that_a_team_gave_on_a_column_of_its_own_stay(
    pg: Connection, database_url: str
) -> None:
    await pg.execute(
        """
        alter table voice_calls add column tenant text;
        grant update (tenant) on voice_calls to authenticated;
        """
    )
    await pg.execute(OTHER)
    await migrate(database_url)
    may = "select has_column_privilege('authenticated', 'voice_calls', 'tenant', 'update')"
    assert await pg.fetchval(may)


@pytest.mark.parametrize("by", ["migrate", "psql"])
async def test_older_ones_never_take_the_place_of_newer_ones(
    pg: Connection, database_url: str, by: str
) -> None:
    await pg.execute(
        "update voice_worker.schema_version set version = 999, oldest_worker = 60, routines = 'new'"
    )
    before = await catalogue(database_url), await pg.fetchval(WRITTEN)
    if by == "migrate":
        code, output, errors = await run(database_url, "migrate")
        assert (code, output) == (1, "")
        assert errors == (
            "error: the database's schema is version 999, these files are version "
            f"{SCHEMA_VERSION_NEEDED}: use the newer release; nothing was changed\n"
        )
        with pytest.raises(RoutinesError, match="newer release"):
            await apply_routines(pg)
    else:
        for flags in ((), ("-1",), ("-v", "ON_ERROR_STOP=0")):
            stops = "-v" not in flags
            if stops:
                with pytest.raises(Exception, match="returned non-zero"):
                    psql(database_url, *flags, "-f", str(PSQL_ROUTINES))
            else:
                psql(database_url, *flags, "-f", str(PSQL_ROUTINES))
    assert (await catalogue(database_url), await pg.fetchval(WRITTEN)) == before


async def test_one_that_postgres_refuses_leaves_all_as_they_were(
    pg: Connection, database_url: str
) -> None:
    wrong = Routine("calls/wrong.sql", "create view public.wrong as select nothing from nowhere;")
    given = read_routines()
    before = await catalogue(database_url)
    with pytest.raises(RoutinesError, match=r'calls/wrong.sql: relation "nowhere" does not exist'):
        await apply_routines(pg, Routines([*given.files, wrong], given.tables, "other"))
    assert await catalogue(database_url) == before


@pytest.mark.usefixtures("quick")
async def test_a_lock_of_somebody_else_holds_up_us_and_no_writer(
    pg: Connection, database_url: str
) -> None:
    """A long query of a report: we step back again and again, and calls go on between."""
    await pg.execute(OTHER)
    async with connected(database_url) as report, connected(database_url) as writer:
        await writer.execute("set lock_timeout = '5s'")  # as a worker's login has it
        reading = report.transaction()
        await reading.start()
        await report.fetch("select count(*) from voice_messages")
        applying = asyncio.create_task(migrate(database_url))
        for _ in range(20):
            call = await add_call(writer)
            await add_message(writer, call)
            await asyncio.sleep(0.02)  # a writer's pace
        assert not applying.done()
        await reading.rollback()
        assert (await applying).routines


@pytest.mark.usefixtures("quick")
async def test_a_lock_that_never_ends_is_one_line(
    pg: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPTS", 3)
    await pg.execute(OTHER)
    before = await catalogue(database_url)
    async with connected(database_url) as report, report.transaction():
        await report.fetch("select count(*) from call_participants")
        with pytest.raises(RoutinesError, match=r"lock on public.call_participants at each of 3"):
            await migrate(database_url)
    assert await catalogue(database_url) == before
    assert (await migrate(database_url)).routines


@pytest.mark.usefixtures("quick")
async def test_nobody_is_waited_for_in_a_circle(pg: Connection, database_url: str) -> None:
    """A writer that has one table and wants the next is never the victim."""
    await pg.execute(OTHER)
    call = await add_call(pg)
    async with connected(database_url) as writer:
        writing = writer.transaction()
        await writing.start()
        await add_message(writer, call)  # of messages and calls
        applying = asyncio.create_task(migrate(database_url))
        await until(lambda: pg.fetchval(WAITED_FOR), what="the wait for a table")
        await writer.execute("update call_participants set is_muted = true")
        await writer.execute("update voice_usage set cancelled = true")
        await writing.commit()
        assert (await applying).routines


async def test_two_at_once_do_it_once(pg: Connection, database_url: str) -> None:
    await pg.execute(OTHER)
    done = await asyncio.gather(*(migrate(database_url) for _ in range(3)))
    assert [each.routines for each in done].count(True) == 1


async def test_uninstalling_leaves_the_rows(
    pg: Connection, database_url: str, empty_database_url: str
) -> None:
    call = await add_call(pg)
    await add_message(pg, call)
    whole = await catalogue(database_url)
    before = {name: found for name, found in (await rows(database_url)).items() if "." not in name}
    await pg.execute("insert into voice_worker.refused_events values ('a', 1, null, null, '\\x00')")
    with pytest.raises(Exception, match="returned non-zero"):
        psql(database_url, "-f", str(UNINSTALL))
    assert differences(await catalogue(database_url), whole) == []
    await pg.execute("delete from voice_worker.refused_events")
    psql(database_url, "-f", str(UNINSTALL))
    assert await rows(database_url) == before
    left = await catalogue(database_url)
    ours = ("function", "trigger", "policy", "schema")
    assert sorted(name for name in left if name.split()[0] in ours) == [
        "function auth.uid()",
        "function auth.uid_of(text)",
        "policy users.users_select_own",
        "policy users.users_service_all",
        "schema auth",
    ]
    await add_message(pg, await add_call(pg, None, "completed"))
    await pg.execute("update voice_calls set status = 'active'")
    await pg.execute("delete from voice_calls")
    await migrate(database_url)
    assert differences(await catalogue(database_url), whole) == []
    with pytest.raises(Exception, match="returned non-zero"):
        psql(empty_database_url, "-f", str(UNINSTALL))


def test_the_file_for_psql_is_that_of_the_others() -> None:
    """If not: `python -m db routines > db/routines.sql`."""
    assert PSQL_ROUTINES.read_text(encoding="utf-8") == psql_file()


def test_the_number_of_the_worker_is_that_of_the_routines() -> None:
    text = (ROUTINES / "version.sql").read_text(encoding="utf-8")
    assert f"values ({SCHEMA_VERSION_NEEDED}, " in text


def test_tables_are_locked_when_all_functions_are_made() -> None:
    files = read_routines().files
    assert [each.on_tables for each in files] == sorted(each.on_tables for each in files)
    assert files[-1].name == "version.sql"
    assert files[0].name == "access/roles.sql"


@pytest.mark.parametrize("name", FILES)
def test_a_file_says_what_it_promises_and_makes_one_routine(name: str) -> None:
    """A head comment, and under the file's own name; nothing that fails the second time."""
    text = (ROUTINES / name).read_text(encoding="utf-8")
    assert text.startswith("-- ")
    made = re.findall(
        r"^create or replace (?:function|procedure|view) \w+\.(\w+)", text, re.MULTILINE
    )
    assert made in ([], [name.rpartition("/")[2].removesuffix(".sql")])
    assert not re.search(r"^create (?!or replace|policy)", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 105
    assert "$routine" not in text
