"""What the tests of the database share."""

import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from callrecord.postgres.store import Store
from callrecord.postgres.workers import Workers
from tests.postgres.people import People, add_people
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import enlisted


@pytest.fixture
async def dsn(database_url: str) -> AsyncIterator[str]:
    """URL of a login that was only enlisted."""
    async with enlisted(database_url) as url:
        yield url


@pytest.fixture
async def owner_url(empty_database_url: str) -> AsyncIterator[str]:
    """URL of the database's owner, who is no superuser, as Supabase's `postgres` is not."""
    name, password = f"owner_{uuid4().hex}", secrets.token_urlsafe(12)
    parts = urlsplit(empty_database_url)
    admin = await asyncpg.connect(empty_database_url)
    try:
        await admin.execute(f"create role {name} login createrole password '{password}'")
        await admin.execute(f"alter database {parts.path.removeprefix('/')} owner to {name}")
        await admin.execute("grant usage on schema public to public")
        await admin.execute(f"alter schema public owner to {name}")
        yield parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl()
        await admin.execute(f"reassign owned by {name} to current_user")
        await admin.execute(f"drop owned by {name}")
        await admin.execute(f"drop role {name}")
    finally:
        await admin.close()


@pytest.fixture
async def people(pg: Connection) -> People:
    """The people around one call."""
    return await add_people(pg)


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Store]:
    """A store with the worker's rights."""
    store = Store(dsn)
    yield store
    await store.close()


@pytest.fixture
async def workers(dsn: str) -> AsyncIterator[Workers]:
    """The connection of a worker's heartbeats."""
    workers = Workers(dsn)
    yield workers
    await workers.close()
