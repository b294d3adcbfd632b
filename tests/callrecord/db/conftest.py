"""What the tests of the outbox's way into Postgres share."""

from collections.abc import AsyncIterator

import pytest

from tests.callrecord.db.calls import enlisted


@pytest.fixture
async def dsn(database_url: str) -> AsyncIterator[str]:
    """URL of a login that was only enlisted."""
    async with enlisted(database_url) as url:
        yield url
