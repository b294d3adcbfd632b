"""What Supabase Realtime needs, so that a front end sees a conversation while it goes on.

The tables are put into its publication by `migrate`; what it shows to whom is in test_supabase.py.
Realtime reads changes through wal2json, of the tables that its publication lists, and compares a
change's table with the one that a client has subscribed to. wal2json names the partition, not the
table (its issue 259), so a partitioned table sends nothing to anybody
(docs/decisions/partitions.md).
"""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from callrecord.postgres.store import Store
from callrecord.schema.migrate import migrate
from tests.postgres.applied import apply
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.server import DEBIAN_15, Connection, database, server
from tests.unit.callrecord.calls import batch, ended, enlisted, leg, message, started, usage

WAL2JSON = DEBIAN_15.parent / "lib" / "wal2json.so"
WATCHED = ("call_participants", "voice_calls", "voice_messages")


async def test_the_tables_that_a_front_end_watches_are_plain(pg: Connection) -> None:
    kinds = await pg.fetch(
        "select relname, relkind from pg_class where oid = any ($1::regclass[])",
        [f"public.{name}" for name in WATCHED],
    )
    assert {row["relname"]: row["relkind"] for row in kinds} == dict.fromkeys(WATCHED, b"r")


@pytest.fixture
async def logical() -> AsyncIterator[str]:
    """URL of a migrated database on a server that decodes its log."""
    if not DEBIAN_15.is_dir():
        pytest.skip(f"no Postgres 15 in {DEBIAN_15} (Debian's package postgresql-15)")
    settings = {"wal_level": "logical", "synchronous_commit": "on"}
    with server(DEBIAN_15, settings) as url:
        async with database(url) as made:
            apply_seed(made, "supabase", "supabase_project")
            await migrate(made)
            yield made


@pytest.mark.skipif(not WAL2JSON.exists(), reason="no wal2json (postgresql-15-wal2json)")
async def test_each_change_of_a_call_reaches_whoever_has_subscribed(logical: str) -> None:
    pg = await asyncpg.connect(logical)
    try:
        await pg.execute("select pg_create_logical_replication_slot('realtime', 'wal2json')")
        async with enlisted(logical) as dsn:
            store = Store(dsn)
            await apply(store, batch(started(), leg(), message("hello")))
            await store.close()
        await pg.execute("update voice_calls set status = 'completed'")
        await pg.execute("delete from voice_calls")
        changes = await pg.fetch(
            """
            select data from pg_logical_slot_get_changes(
                'realtime', null, null, 'format-version', '2', 'include-transaction', 'false',
                'add-tables', (
                    select string_agg(format('%I.%I', schemaname, tablename), ',')
                    from pg_publication_tables where pubname = 'supabase_realtime'
                )
            )
            """
        )
        await pg.execute("select pg_drop_replication_slot('realtime')")
    finally:
        await pg.close()
    seen: dict[str, set[str]] = {"I": set(), "U": set(), "D": set()}
    for change in (json.loads(each["data"]) for each in changes):
        seen[change["action"]].add(change["table"])
        if change["action"] == "D":  # a subscriber is told which row has gone
            assert [column["name"] for column in change["identity"]] == ["id"]
    assert seen["I"] == seen["D"] == set(WATCHED)
    assert "voice_calls" in seen["U"]


async def test_a_publication_of_all_tables_stops_no_batch(logical: str) -> None:
    """Without a key or an identity, a table in it refuses each update (55000)."""
    pg = await asyncpg.connect(logical)
    try:
        await pg.execute("create publication everything for all tables")
        async with enlisted(logical) as dsn:
            store, header = Store(dsn), started()
            for first in (3, 9):
                turn = batch(header, leg(), message("words", tokens=3), usage(5), first=first)
                assert await apply(store, turn)
            assert await apply(store, batch(header, ended(), first=20))
            await store.close()
        await pg.execute("call voice_worker.recount_usage()")
        await pg.execute("select voice_worker.prune()")
        await pg.execute("update voice_usage set cost = 1")
        assert await pg.execute("delete from voice_calls") == "DELETE 1"
        without = await pg.fetch(
            """
            select oid::regclass::text from pg_class c
            where relkind = 'r' and relreplident = 'd' and relnamespace in (
                'public'::regnamespace, 'voice_worker'::regnamespace
            ) and not exists (select from pg_index where indrelid = c.oid and indisprimary)
            """
        )
    finally:
        await pg.close()
    assert without == []
