"""What the tests of the database share."""

from collections.abc import AsyncIterator

import pytest

from callrecord.db.store import Store
from callrecord.db.workers import Workers
from tests.callrecord.db.calls import enlisted
from tests.callrecord.db.people import People, add_people
from tests.postgres import Connection


@pytest.fixture
async def dsn(database_url: str) -> AsyncIterator[str]:
    """URL of a login that was only enlisted."""
    async with enlisted(database_url) as url:
        yield url


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
