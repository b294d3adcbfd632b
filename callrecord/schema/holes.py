"""Policies and grants, not from this schema, that open calls to people who should not see them.

Such a rule may be older than the schema (a script meant it for service_role, but granted it to
everybody), or somebody may add it later. `migrate` refuses or removes it; `status` and the worker's
check report it. A right to change users.role is such a rule, too.
"""

from dataclasses import dataclass
from typing import Any

import asyncpg

from callrecord.postgres.connection import connect
from callrecord.postgres.queries import sql
from callrecord.postgres.schema_version import COLUMNS


@dataclass(frozen=True, slots=True)
class Hole:
    """One rule or right that grants more than this schema does.

    Attributes:
        place: Where it is, such as `policy "open" on voice_calls`.
        says: What it lets people do.
        severe: It has no condition; a rule with a condition may be intended.
        routine: Applying the routines removes it, so migrate does that anyway.
        mend: The statements that remove it.
    """

    place: str
    says: str
    severe: bool
    routine: bool
    mend: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.place} {self.says}"


async def find_holes(connection: "asyncpg.Connection[Any]") -> list[Hole]:
    """Return them, sorted by place; none if the database lacks Supabase's roles."""
    tables, columns = zip(*COLUMNS, strict=True)
    rows = await connection.fetch(sql("holes"), tables, columns)
    return [
        Hole(row["place"], row["says"], row["severe"], row["routine"], tuple(row["mend"]))
        for row in rows
    ]


async def holes_of(url: str) -> list[Hole]:
    """Return the holes of a database.

    Raises:
        Transient: The database is away.
    """
    connection = await connect(url)
    try:
        return await find_holes(connection)
    finally:
        await connection.close()


async def remove_holes(connection: "asyncpg.Connection[Any]", holes: list[Hole]) -> None:
    """Remove them, all or none.

    Raises:
        asyncpg.PostgresError: The login may not remove one, or another session holds a lock.
    """
    async with connection.transaction():
        statements = [each for hole in holes for each in hole.mend]
        await connection.fetchrow(sql("note_statements"), statements)
        await connection.execute(sql("run_noted_statements"))
