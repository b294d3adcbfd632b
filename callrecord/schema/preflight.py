"""Checks before migrate changes or locks anything: connection, rights, rules not from us."""

from typing import Any

import asyncpg

from callrecord.errors import Stop
from callrecord.postgres.connection import connect
from callrecord.postgres.queries import sql
from callrecord.privacy import private_logger
from callrecord.schema.holes import Hole, find_holes, remove_holes

logger = private_logger("voice.migrate")

POOLED = (
    "DATABASE_URL uses a pooler in transaction mode, which would never release migrate's lock: "
    "set a direct connection, or one in session mode"
)


async def preflight(
    connection: "asyncpg.Connection[Any]", url: str, *, mend: bool, as_is: bool
) -> None:
    """Check that a migration can start.

    Args:
        connection: A connection of the database's owner.
        url: The URL of the same database.
        mend: Remove rules that open other people's calls to users.
        as_is: Keep such rules and only log them.

    Raises:
        Stop: Something has to change first; the message says what. Nothing was changed.
    """
    await _no_transaction_pooler(connection, url)
    await _rights(connection)
    await _no_holes(connection, mend=mend, as_is=as_is)


async def _no_transaction_pooler(connection: "asyncpg.Connection[Any]", url: str) -> None:
    """Raise Stop if two of our connections share one server process.

    A pooler reports its own key instead of the process id. In transaction mode it gives the same
    server process to the next client.
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
            f"the roles {missing} are missing, and the login of DATABASE_URL may not create roles: "
            "have an administrator run db/roles.sql (psql -v owner=<this login> -f db/roles.sql)"
        )
    if found["not_owned"]:
        tables = ", ".join(found["not_owned"])
        raise Stop(f"the login of DATABASE_URL does not own {tables}: use the login of their owner")
    if not found["makes_schemas"] or not found["makes_tables"]:
        raise Stop(
            "the login of DATABASE_URL may not create schemas in this database, or tables in "
            "public: use the login of the database's owner, or grant create on both"
        )


async def _no_holes(connection: "asyncpg.Connection[Any]", *, mend: bool, as_is: bool) -> None:
    severe, others = await _holes(connection)
    if severe and mend:
        await _remove(connection, severe)
        severe, others = await _holes(connection)
        if severe:
            raise Stop(f"{_listed(severe)}: could not be removed, remove it by hand")
    elif severe and not as_is:
        raise Stop(
            f"{_listed(severe)}: run migrate with --mend to remove it, or with --as-is to keep it; "
            "nothing was changed"
        )
    for hole in severe + others:
        logger.warning("%s", hole)


async def _holes(connection: "asyncpg.Connection[Any]") -> tuple[list[Hole], list[Hole]]:
    """Return the holes that stop a migration, and the others; omit what the routines remove."""
    found = [hole for hole in await find_holes(connection) if not hole.routine]
    return [each for each in found if each.severe], [each for each in found if not each.severe]


def _listed(holes: list[Hole]) -> str:
    return "; ".join(map(str, holes))


async def _remove(connection: "asyncpg.Connection[Any]", holes: list[Hole]) -> None:
    try:
        await remove_holes(connection, holes)
    except asyncpg.PostgresError as error:
        raise Stop(f"the rules could not be removed: {error}; nothing was changed") from error
    for hole in holes:
        logger.warning("removed: %s", hole)
