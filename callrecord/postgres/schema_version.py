"""Does the database's schema fit this worker? Asked once, when the worker starts."""

from dataclasses import dataclass, fields

import asyncpg

from callrecord.errors import Stop
from callrecord.postgres.queries import sql
from callrecord.rows import Call, Leg, Message, Usage

SCHEMA_VERSION_NEEDED = 103
"""Version of the schema that this worker was written for: `db/routines/version.sql` states it."""

COLUMNS = [
    (table, field.name)
    for table, kind in (
        ("voice_calls", Call),
        ("voice_messages", Message),
        ("call_participants", Leg),
        ("voice_usage", Usage),
    )
    for field in fields(kind)
]
"""Columns of the tables of calls, each with its table: the fields of the classes of their rows."""

REMEDY = "run `uv run python -m db migrate` with DATABASE_URL set to the database's owner"


class SchemaTooOld(Stop):
    """The database lacks migrations that this worker relies on."""


class SchemaDamaged(Stop):
    """Somebody has dropped columns that the database's version has."""


class WorkerTooOld(Stop):
    """The database has moved on to a schema that no longer serves this worker."""


class NotEnlisted(Stop):
    """The login has not been given the worker's rights."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """What the database says of its schema.

    Attributes:
        version: Number of its newest migration, or of the newest change of what a routine promises.
        oldest_worker: The smallest `SCHEMA_VERSION_NEEDED` of a worker that it serves.
    """

    version: int
    oldest_worker: int


async def read_version(conn: "asyncpg.Connection[asyncpg.Record]") -> SchemaVersion | None:
    """Return the schema's version, or None if no migration was ever applied.

    Raises:
        NotEnlisted: The login may not read it.
    """
    try:
        row = await conn.fetchrow(sql("schema_version"))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return None
    except asyncpg.InsufficientPrivilegeError as error:
        raise NotEnlisted(
            "the login of DATABASE_URL lacks the worker's rights: as the database's owner, run "
            "select voice_worker.enlist('<login>')"
        ) from error
    return None if row is None else SchemaVersion(row["version"], row["oldest_worker"])


async def check(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return if the schema serves this worker.

    Raises:
        SchemaTooOld: Migrations are missing; the message names the command.
        SchemaDamaged: Columns are gone; the message names them.
        WorkerTooOld: The schema no longer serves this worker.
        NotEnlisted: The login has not been given the worker's rights.
    """
    found = await read_version(conn)
    if found is None:
        raise SchemaTooOld(f"the database has no schema of ours yet: {REMEDY}")
    if found.version < SCHEMA_VERSION_NEEDED:
        raise SchemaTooOld(
            f"the database's schema is {found.version}, "
            f"this worker needs {SCHEMA_VERSION_NEEDED}: {REMEDY}"
        )
    if found.oldest_worker > SCHEMA_VERSION_NEEDED:
        raise WorkerTooOld(
            f"the database's schema is {found.version} and serves workers from "
            f"{found.oldest_worker}, this one is of {SCHEMA_VERSION_NEEDED}: "
            "install a newer worker"
        )
    await check_columns(conn)


async def check_columns(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Return if the tables of a database of this version have the columns that they should.

    Raises:
        SchemaDamaged: Some are gone, as after `drop type ... cascade`; the message names them.
    """
    tables, columns = zip(*COLUMNS, strict=True)
    missing = await conn.fetchval(sql("missing_columns"), tables, columns)
    if missing:
        raise SchemaDamaged(
            f"columns are gone: {missing}; a script has dropped them since, such as the file of "
            "the schema that this one replaced, run again: take them and their values from a backup"
        )
