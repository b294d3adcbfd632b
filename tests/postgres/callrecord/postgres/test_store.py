"""The store: what an error means, and that a lost reply or a dead backend costs nothing."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import asyncpg
import pytest

import callrecord.postgres.store
from callrecord.errors import Hold, Locked, Refused, Stop, Transient, VoiceError
from callrecord.events import decode, new_id
from callrecord.outbox.refused_files import RefusedEvent
from callrecord.postgres.store import Store, check_schema, meaning
from tests.postgres.proxy import Faults, Proxy, proxy_to
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import (
    at,
    batch,
    connected,
    message,
    started,
)
from tests.waiting import until

BY_STATE = {
    Transient: "08000 08003 08006 28000 28P01 40001 40P01 53100 53200 53300 57014 57P01 57P03"
    " 58030 XX000 25006 3D000",
    Locked: "55P03",
    Hold: "42P01 42703 42883 42501 26000 21000 0A000 25001 25P02 55006 P0001 F0000 38000",
    Refused: "22001 22003 22021 22P02 22P05 23502 23503 23505 23514 54000 54001",
}


@pytest.fixture
async def proxy(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy to the database, for a store that waits a second only."""
    monkeypatch.setattr(callrecord.postgres.store, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(callrecord.postgres.store, "COMMAND_TIMEOUT_S", 1.0)
    async with proxy_to(dsn) as running:
        yield running


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[Store]:
    """A store that speaks through the proxy."""
    store = Store(proxy.url)
    yield store
    await store.close()


async def counts(pg: Connection) -> tuple[int, int]:
    row = await pg.fetchrow(
        "select (select count(*) from voice_calls), (select count(*) from voice_messages)"
    )
    assert row is not None
    return (row[0], row[1])


@pytest.mark.parametrize(
    ("kind", "state"),
    [(kind, state) for kind, states in BY_STATE.items() for state in states.split()],
)
def test_a_sqlstate_has_its_meaning(kind: type[VoiceError], state: str) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": "words of the server"})
    found = meaning(error)
    assert type(found) is kind
    if isinstance(found, Refused):
        assert found.sqlstate == state


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(111, "refused"), Transient),
        (TimeoutError(), Transient),
        (ConnectionResetError(), Transient),
        (EOFError(), Transient),
        (asyncpg.InterfaceError("connection is closed"), Transient),
        (asyncpg.ConnectionDoesNotExistError("closed in mid-operation"), Transient),
        (asyncpg.ClientConfigurationError("invalid DSN"), Hold),
        (asyncpg.DataError("value out of int32 range"), Refused),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Refused),
        (asyncpg.InternalClientError("protocol"), Hold),
        (RuntimeError("never heard of"), Hold),
    ],
)
def test_an_error_of_the_client_has_its_meaning(error: Exception, kind: type[VoiceError]) -> None:
    assert type(meaning(error)) is kind


async def test_a_swallowed_reply_is_replayed_and_finds_nothing_new(
    store: Store, proxy: Proxy, pg: Connection
) -> None:
    header = started()
    await store.apply([batch(header)])
    part = batch(header, connected(), message(tokens=5), first=4)
    proxy.faults.swallow_from = b"call_ids"
    with pytest.raises(Transient):
        await store.apply([part])
    assert await counts(pg) == (1, 1)  # done, and nobody was told
    before = await pg.fetch("select xmin::text, * from voice_messages")
    proxy.faults = Faults()
    await store.apply([part])
    assert await pg.fetch("select xmin::text, * from voice_messages") == before
    assert await pg.fetchval("select total_tokens_used from voice_calls") == 5


@pytest.mark.parametrize("fault", ["cut", "refuse", "swallow_requests", "killed", "half"])
async def test_a_lost_connection_is_transient_and_made_anew(
    store: Store, proxy: Proxy, pg: Connection, fault: str
) -> None:
    header = started()
    await store.apply([batch(header)])
    if fault == "killed":
        await pg.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where usename like 'login_%' and datname = current_database()"
        )
    elif fault in ("cut", "refuse"):
        proxy.faults.refuse = fault == "refuse"
        proxy.cut()
    else:
        proxy.faults.swallow_requests = True
    lost = batch(header, message(), first=4)
    task = asyncio.create_task(store.apply([lost]))
    if fault == "half":
        await until(lambda: proxy.swallowed)
        proxy.cut()
    with contextlib.suppress(Transient):  # the driver may have seen the loss before it was asked
        await task
    proxy.faults = Faults()
    await store.apply([lost])
    assert await counts(pg) == (1, 1)


async def test_a_cancelled_statement_leaves_a_store_that_works(
    store: Store, proxy: Proxy, pg: Connection
) -> None:
    header = started()
    await store.apply([batch(header)])
    proxy.faults.delay_s = 5
    task = asyncio.create_task(store.apply([batch(header, message(), first=4)]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    proxy.faults.delay_s = 0
    await store.apply([batch(header, message(), first=4)])
    assert (await counts(pg))[0] == 1


async def test_read_only_is_transient(store: Store, pg: Connection, database_url: str) -> None:
    name = database_url.rpartition("/")[2]
    await pg.execute(f"alter database {name} set default_transaction_read_only = on")
    with pytest.raises(Transient, match="25006"):
        await store.apply([batch(started())])
    await pg.execute("set default_transaction_read_only = off")
    await pg.execute(f"alter database {name} reset default_transaction_read_only")
    await store.apply([batch(started())])
    assert await counts(pg) == (1, 0)


async def test_a_row_locked_by_somebody_is_transient(store: Store, pg: Connection) -> None:
    header = started()
    await store.apply([batch(header)])
    async with pg.transaction():
        await pg.execute("select from voice_calls for update")
        with pytest.raises(Transient):  # here the driver's own limit of a second comes first
            await store.apply([batch(header, message(), first=4)])
    await store.apply([batch(header, message(), first=4)])
    assert (await counts(pg))[0] == 1


async def test_a_refused_event_is_kept_once_with_its_bytes(store: Store, pg: Connection) -> None:
    key, header = new_id(), started()
    kept = RefusedEvent(
        source="a.events",
        byte_offset=7,
        raw=b"\0\xff",
        error="why",
        sqlstate="22003",
        job_id="AJ_1",
        call_key=key,
        header=header,
        refused_at=at(0),
    )
    for _ in range(2):
        await store.refuse(kept)
    rows = await pg.fetch(
        "select source, byte_offset, raw, sqlstate, error, call_id, call_key, job_id, header "
        "from voice_worker.refused_events"
    )
    (row,) = [list(row) for row in rows]
    assert decode(row.pop().encode()) == header
    assert row == ["a.events", 7, b"\0\xff", "22003", "why", None, key, "AJ_1"]


async def test_closing_twice_or_unopened_is_no_error(dsn: str) -> None:
    store = Store(dsn)
    await store.close()
    await store.apply([batch(started())])
    await store.close()
    await store.close()


async def test_a_schema_that_fits_is_checked_with_the_workers_rights(dsn: str) -> None:
    await check_schema(dsn)


async def test_a_database_that_is_away_is_transient_at_start(proxy: Proxy) -> None:
    proxy.faults.refuse = True
    with pytest.raises(Transient):
        await check_schema(proxy.url)


async def test_a_connection_lost_within_the_check_is_transient(proxy: Proxy) -> None:
    proxy.faults.swallow_replies = True
    with pytest.raises(Transient):
        await check_schema(proxy.url)


@pytest.mark.parametrize("url", ["postgresql://host:notaport/db", "http://example.org"])
async def test_an_address_that_is_none_stops_with_one_line(url: str) -> None:
    with pytest.raises(Stop, match="DATABASE_URL"):
        await check_schema(url)


async def test_a_wrong_password_stops_at_start(dsn: str) -> None:
    """Nobody is changing it right now: it is a wrong setting, not an outage."""
    with pytest.raises(Stop, match="password authentication failed"):
        await check_schema(re.sub(r":[^:@/]+@", ":wrong@", dsn))


async def test_a_database_without_our_schema_stops_and_names_the_command(
    empty_database_url: str,
) -> None:
    with pytest.raises(Stop, match="python -m db migrate"):
        await check_schema(empty_database_url)


async def test_a_database_that_is_not_there_stops_at_start(dsn: str) -> None:
    """Its name is as wrong as a password is."""
    with pytest.raises(Stop, match='DATABASE_URL: database "nosuch" does not exist'):
        await check_schema(re.sub(r"/[^/]+$", "/nosuch", dsn))
