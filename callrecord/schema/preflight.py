"""What migrate looks at before it changes or locks anything: connection, rights, others' rules."""

from typing import Any

import asyncpg

from callrecord.errors import Stop
from callrecord.postgres.connection import connect
from callrecord.postgres.queries import sql
from callrecord.privacy import private_logger
from callrecord.schema.holes import Hole, find_holes, mend_holes

logger = private_logger("voice.migrate")

POOLED = (
    "DATABASE_URL leads through a pooler in transaction mode, which would keep a lock of ours for "
    "good: give migrate a direct connection, or one in session mode"
)


async def preflight(
    connection: "asyncpg.Connection[Any]", url: str, *, mend: bool, as_is: bool
) -> None:
    """Return if a migration can begin.

    Args:
        connection: Of the database's owner.
        url: It leads to the same database.
        mend: Remove rules that give people access to the calls of others.
        as_is: Keep them; they are only logged.

    Raises:
        Stop: Something has to change first; one line each that says what. Nothing was changed.
    """
    await _no_transaction_pooler(connection, url)
    await _rights(connection)
    await _no_holes(connection, mend=mend, as_is=as_is)


async def _no_transaction_pooler(connection: "asyncpg.Connection[Any]", url: str) -> None:
    """Raise Stop if two connections of ours share one of Postgres'.

    A pooler reports a key of its own instead of the process id. In transaction mode it lends the
    same server process to the next client.
    """
    process = await connection.fetchval(sql("backend_pid"))
    if process == connection.get_server_pid():
        return
    other = await connect(url)
    try:
        shared = process == await other.fetchval(sql("backend_pid"))
    finally:
        await other.close()
    if shared:
        raise Stop(POOLED)


async def _rights(connection: "asyncpg.Connection[Any]") -> None:
    found = await connection.fetchrow(sql("rights_to_migrate"))
    assert found is not None  # noqa: S101 - a select without from
    if found["missing_roles"] and not found["makes_roles"]:
        missing = ", ".join(found["missing_roles"])
        raise Stop(
            f"the roles {missing} are missing, and the login of DATABASE_URL may make none: have "
            "an administrator run db/roles.sql (psql -v owner=<this login> -f db/roles.sql)"
        )
    if found["not_owned"]:
        tables = ", ".join(found["not_owned"])
        raise Stop(f"the login of DATABASE_URL does not own {tables}: use the login of their owner")
    if not found["makes_schemas"] or not found["makes_tables"]:
        raise Stop(
            "the login of DATABASE_URL may not make schemas in this database, or tables in public: "
            "use the database's owner, or grant create on both"
        )


async def _no_holes(connection: "asyncpg.Connection[Any]", *, mend: bool, as_is: bool) -> None:
    severe, others = await _holes(connection)
    if severe and mend:
        await _mend(connection, severe)
        severe, others = await _holes(connection)
        if severe:
            raise Stop(f"{_listed(severe)}: could not be taken out, do so by hand")
    elif severe and not as_is:
        raise Stop(
            f"{_listed(severe)}: run it with --mend to take that out, or with --as-is to keep it; "
            "nothing was changed"
        )
    for hole in severe + others:
        logger.warning("%s", hole)


async def _holes(connection: "asyncpg.Connection[Any]") -> tuple[list[Hole], list[Hole]]:
    """Return those that stop a migration, and the others; not what the routines remove anyway."""
    found = [hole for hole in await find_holes(connection) if not hole.routine]
    return [each for each in found if each.severe], [each for each in found if not each.severe]


def _listed(holes: list[Hole]) -> str:
    return "; ".join(map(str, holes))


async def _mend(connection: "asyncpg.Connection[Any]", holes: list[Hole]) -> None:
    try:
        await mend_holes(connection, holes)
    except asyncpg.PostgresError as error:
        raise Stop(f"it could not be mended: {error}; nothing was changed") from error
    for hole in holes:
        logger.warning("taken out: %s", hole)
