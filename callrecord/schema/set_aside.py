"""The tables of the basic schema, which an upgrade keeps until their owner drops them."""

from dataclasses import dataclass
from typing import Final

import asyncpg

from callrecord.errors import VoiceError
from callrecord.postgres.queries import sql
from callrecord.schema.migrate import connected


class DropError(VoiceError):
    """The old tables are still needed; nothing was dropped."""


_COUNTS: Final = {
    "voice_calls": "count_calls_before",
    "call_participants": "count_participants_before",
}


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table in `voice_before`, and how many rows it holds."""

    name: str
    rows: int


async def names_before(url: str, *, patience_s: float = 30.0) -> list[str]:
    """Return the names of the tables in `voice_before`."""
    async with connected(url, patience_s) as connection:
        return await _names(connection)


async def tables_before(url: str, *, patience_s: float = 30.0) -> list[OldTable]:
    """Return the tables in `voice_before` with their row counts."""
    async with connected(url, patience_s) as connection:
        found = []
        for name in await _names(connection):
            count = _COUNTS[name]
            found.append(OldTable(name, int(await connection.fetchval(sql(count)))))
        return found


async def drop_before(url: str, *, patience_s: float = 30.0) -> None:
    """Drop the old tables, all or none.

    Raises:
        DropError: One of their rows is not in public, or something depends on them.
    """
    async with connected(url, patience_s) as connection:
        try:
            await connection.execute(sql("drop_before"))
        except asyncpg.PostgresError as error:
            raise DropError(str(error), sqlstate=error.sqlstate or "") from error


async def _names(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    return [row["name"] for row in await connection.fetch(sql("names_before"))]
