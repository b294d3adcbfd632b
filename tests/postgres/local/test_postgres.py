"""The local Postgres: stopped, killed and started again under its clients."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from local.postgres import LocalPostgres
from tests.unit.local.servers import alive, descendants, open_directory


@pytest_asyncio.fixture(loop_scope="session")
async def postgres() -> AsyncIterator[LocalPostgres]:
    """A started server, stopped at the end."""
    with open_directory() as directory:
        server = LocalPostgres(directory / "postgres")
        try:
            await server.start()
            yield server
        finally:
            await server.stop()


async def test_committed_rows_survive_stop_and_kill(postgres: LocalPostgres) -> None:
    """The URL stays the same, and nothing runs in between."""
    url = postgres.url
    await _execute(postgres, "CREATE TABLE kept (n int)")
    for number, end in enumerate((postgres.stop, postgres.kill)):
        await _execute(postgres, "INSERT INTO kept VALUES ($1)", number)
        assert postgres.child.pid is not None
        processes = descendants(postgres.child.pid)
        assert processes
        await end()
        assert not alive(processes)
        with pytest.raises(ConnectionRefusedError):
            await asyncpg.connect(postgres.url)
        await postgres.start()
        assert postgres.url == url
    await postgres.restart()
    connection = await asyncpg.connect(postgres.url)
    try:
        assert await connection.fetchval("SELECT array_agg(n ORDER BY n) FROM kept") == [0, 1]
    finally:
        await connection.close()


async def test_it_listens_on_the_loopback_only(postgres: LocalPostgres) -> None:
    connection = await asyncpg.connect(postgres.url)
    try:
        assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("SHOW unix_socket_directories") == ""
    finally:
        await connection.close()


async def test_a_wrong_password_is_refused(postgres: LocalPostgres) -> None:
    """Other users of the machine reach the port, not the data."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.url, password=postgres.url)


async def test_stopping_what_never_started_is_harmless() -> None:
    with open_directory() as directory:
        server = LocalPostgres(directory / "postgres")
        await server.stop()
        await server.kill()


async def _execute(postgres: LocalPostgres, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(postgres.url)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()
