"""What the worker's login can do, and what it can't."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from tests.postgres.rows import (
    add_call,
    add_leg,
    add_message,
    add_usage,
    add_user,
    total_tokens,
)
from tests.postgres.server import Connection

pytestmark = pytest.mark.every_postgres


@pytest.fixture
async def worker(pg: Connection, database_url: str) -> AsyncIterator[Connection]:
    """A connection of a login that was enlisted; the login is dropped afterwards."""
    login = f"worker_{uuid4().hex}"
    await pg.execute(f"create role {login} login password 'secret'")
    try:
        await pg.execute("select voice_worker.enlist($1)", login)
        where = urlsplit(database_url)
        netloc = f"{login}:secret@{where.hostname}:{where.port}"
        connection = await asyncpg.connect(where._replace(netloc=netloc).geturl())
        try:
            yield connection
        finally:
            await connection.close()
    finally:
        await pg.execute(f"drop role {login}")


async def test_it_records_calls_of_anybody(pg: Connection, worker: Connection) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(worker, ann, "active")
    message = await add_message(worker, call, "assistant", tokens=7)
    await add_usage(worker, call, message, tokens=7)
    await add_leg(worker, call, ann, "ann")
    await worker.execute("update voice_messages set tokens_used = 9 where id = $1", message)
    assert await total_tokens(worker, call) == 9
    assert await worker.fetchval("select voice_worker.user_exists($1)", ann)
    assert not await worker.fetchval("select voice_worker.user_exists($1)", uuid4())


FORBIDDEN = (
    "delete from voice_calls",
    "delete from voice_messages",
    "select email from users",
    "select * from active_calls_summary",
    "delete from voice_worker.tombstones",
    "select voice_worker.enlist(current_user)",
    "update voice_worker.schema_version set version = 99",
    "create table voice_worker.mine ()",
)


async def test_it_has_no_other_rights(worker: Connection) -> None:
    for statement in FORBIDDEN:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)


async def test_its_time_limits_come_with_the_login(worker: Connection) -> None:
    limits = await worker.fetchrow(
        """
        select current_setting('statement_timeout'), current_setting('lock_timeout'),
            current_setting('idle_in_transaction_session_timeout')
        """
    )
    assert limits is not None
    assert tuple(limits) == ("30s", "5s", "10s")


async def test_a_login_that_is_not_there_is_named(pg: Connection) -> None:
    with pytest.raises(asyncpg.UndefinedObjectError, match="nobody_there"):
        await pg.execute("select voice_worker.enlist('nobody_there')")
