"""A database of a benchmark's own: fresh, migrated, and dropped at the end."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from bench.sql import sql
from callrecord.schema.migrate import migrate
from local.stack import running


@asynccontextmanager
async def database(*, migrated: bool = True) -> AsyncIterator[str]:
    """Make a database on the server that DATABASE_URL names, or else on one started for it.

    Args:
        migrated: With the newest schema in it; without, it is empty.

    Yields:
        Its URL.
    """
    url = os.environ.get("DATABASE_URL")
    if url:
        async with _made(url, migrated=migrated) as made:
            yield made
        return
    async with (
        running(ai=False, livekit=False) as stack,
        _made(stack.database_url, migrated=migrated) as made,
    ):
        yield made


@asynccontextmanager
async def _made(server: str, *, migrated: bool) -> AsyncIterator[str]:
    name = f"bench_{uuid4().hex}"
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(sql("create_database").replace("NAME", name))
        try:
            url = urlsplit(server)._replace(path=f"/{name}").geturl()
            if migrated:
                await migrate(url)
            yield url
        finally:
            await admin.execute(sql("drop_database").replace("NAME", name))
    finally:
        await admin.close()


async def server_conditions(url: str) -> dict[str, str]:
    """Return the server's version and the settings that decide what a commit costs."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(sql("server_settings"))
    finally:
        await connection.close()
    return {"postgres": ", ".join(f"{key} {value}" for key, value in (row or {}).items())}
