"""From the numbered files that there were before to tables and routines."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from callrecord.postgres.store import Store
from callrecord.schema.migrate import migrate
from tests.postgres.callrecord.schema.by_psql import ALL, FILES, apply_with_psql
from tests.postgres.callrecord.schema.catalogue import catalogue, differences, rows
from tests.postgres.callrecord.schema.version_99 import NEW_TABLES, restore_version_99
from tests.postgres.server import database, psql
from tests.unit.callrecord.calls import (
    batch,
    connected,
    ended,
    enlisted,
    leg,
    message,
    started,
    usage,
)

pytestmark = pytest.mark.every_postgres


@pytest.fixture
async def old_url(empty_database_url: str, migrated_template: str) -> str:
    """URL of a database of version 99, on a server where the roles are."""
    assert migrated_template
    restore_version_99(empty_database_url)
    return empty_database_url


@pytest.fixture(scope="session")
async def finished_template(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of such a database, migrated, for tests to clone."""
    assert migrated_template
    async with database(postgres_server) as url:
        restore_version_99(url)
        await migrate(url)
        yield url


@pytest.fixture
async def finished_url(postgres_server: str, finished_template: str) -> AsyncIterator[str]:
    """URL of a fresh database with rows in every table."""
    async with database(postgres_server, template=finished_template) as url:
        yield url


async def test_no_table_of_it_is_empty(finished_url: str) -> None:
    """So that the tests below would see a change."""
    empty = {name for name, found in (await rows(finished_url)).items() if found[0] == "0"}
    assert empty == NEW_TABLES.keys()


@pytest.mark.parametrize("how", ["migrate", "psql", "psql -1"])
async def test_it_becomes_as_a_fresh_one_and_not_a_row_changes(
    old_url: str, database_url: str, how: str
) -> None:
    """Not even a public price that was taken out, or edited, comes back."""
    before = await rows(old_url)
    if how == "migrate":
        done = await migrate(old_url)
        assert sorted(done.applied) == [path.name for path in FILES if path.name >= "100"]
        assert done.routines
    else:
        apply_with_psql(old_url, *how.split()[1:])
    assert differences(await catalogue(old_url), await catalogue(database_url)) == []
    assert await rows(old_url) == before | NEW_TABLES
    again = await migrate(old_url)
    assert not again.routines
    if how == "migrate":
        assert again.applied == []


async def test_calls_that_go_on_meanwhile_are_stored(old_url: str, finished_url: str) -> None:
    """A worker that was written for version 99 ships before, and after."""
    for url, migrated in ((old_url, False), (old_url, True), (finished_url, True)):
        if migrated:
            await migrate(url)
        async with enlisted(url) as login:
            store = Store(login)
            said, header = message("Hi"), started()
            events = (connected(), leg(), said, usage(7, message_id=said.id), ended())
            applied = await store.apply([batch(header, *events)])
            await store.close()
        assert applied.call_ids[header.key]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
async def test_a_file_run_again_alone_changes_nothing(finished_url: str, path: Path) -> None:
    """An old one could bring an old function back, which then lost columns without an error."""
    before = await catalogue(finished_url), await rows(finished_url)
    for flags in ((), ("-1",)):
        psql(finished_url, *flags, "-f", str(path))
        assert differences(await catalogue(finished_url), before[0]) == []
        assert await rows(finished_url) == before[1]


async def test_old_files_that_somebody_still_has_do_no_harm(
    finished_url: str, tmp_path: Path
) -> None:
    """Each called schema_reached at its end: as one transaction, nothing of it stays."""
    old = tmp_path / "060_apply_batch.sql"
    old.write_text(
        """
        create or replace function voice_worker.apply_batch(batch jsonb) returns jsonb
        language sql as 'select ''{}''::jsonb';
        call voice_worker.schema_reached(60, 60);
        """
    )
    before = await catalogue(finished_url)
    with pytest.raises(Exception, match="returned non-zero"):
        psql(finished_url, "-1", "-f", str(old))
    assert await catalogue(finished_url) == before


# Whoever restored the dump owns all of it.
GIVEN_AWAY = """
create role owner_of_99 login createrole password 'x';
do $$
declare
    each record;
begin
    execute format('alter database %I owner to owner_of_99', current_database());
    for each in select nspname from pg_namespace
        where nspname ~ '^(voice_|auth|public)'
    loop
        execute format('alter schema %I owner to owner_of_99', each.nspname);
    end loop;
    for each in select c.oid::regclass as t from pg_class c join pg_namespace n
        on n.oid = c.relnamespace
        where n.nspname ~ '^(voice_|public)' and c.relkind in ('r', 'v')
    loop
        execute format('alter table %s owner to owner_of_99', each.t);
    end loop;
    for each in select p.oid::regprocedure as f from pg_proc p join pg_namespace n
        on n.oid = p.pronamespace where n.nspname ~ '^(voice_|auth|public)'
    loop
        execute format('alter routine %s owner to owner_of_99', each.f);
    end loop;
    for each in select t.oid::regtype as t from pg_type t join pg_namespace n
        on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid
        where n.nspname ~ '^(voice_|public)' and (typtype = 'e' or c.relkind = 'c')
    loop
        execute format('alter type %s owner to owner_of_99', each.t);
    end loop;
end $$
"""
TAKEN_BACK = """
reassign owned by owner_of_99 to current_user;
drop owned by owner_of_99;
drop role owner_of_99;
"""


async def test_an_owner_who_is_no_superuser_may(old_url: str, database_url: str) -> None:
    """As on Supabase: whoever owns the tables, and may make roles."""
    connection = await asyncpg.connect(old_url)
    try:
        await connection.execute(GIVEN_AWAY)
        await migrate(f"postgresql://owner_of_99:x@{old_url.partition('@')[2]}")
        assert differences(await catalogue(old_url), await catalogue(database_url)) == []
    finally:
        await connection.execute(TAKEN_BACK)
        await connection.close()
