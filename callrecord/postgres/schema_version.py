"""Checks that the database's schema serves this worker, once when the worker starts."""

from dataclasses import dataclass, fields

import asyncpg

from callrecord.errors import Stop
from callrecord.postgres.queries import sql
from callrecord.rows import Call, Leg, Message, Usage

SCHEMA_VERSION_NEEDED = 103
"""Schema version that this worker was written for; `db/routines/version.sql` has the same."""

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
"""All columns of the tables of calls, each with its table: the fields of the row classes."""

REMEDY = "run `uv run python -m db migrate` with DATABASE_URL set to the database's owner"


class SchemaTooOld(Stop):
    """The database lacks migrations that this worker relies on."""


class SchemaDamaged(Stop):
    """Columns that the schema's version should have were dropped."""


class WorkerTooOld(Stop):
    """The database's schema is too new for this worker."""


class NotEnlisted(Stop):
    """The login lacks the worker's rights."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """The version of the database's schema.

    Attributes:
        version: Number of its newest migration, or of the newest change to a routine's contract.
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
    """Check that the schema serves this worker.

    Raises:
        SchemaTooOld: Migrations are missing; the message names the command.
        SchemaDamaged: Columns are missing; the message names them.
        WorkerTooOld: The schema no longer serves this worker.
        NotEnlisted: The login lacks the worker's rights.
    """
    found = await read_version(conn)
    if found is None:
        raise SchemaTooOld(f"the database lacks the worker's schema: {REMEDY}")
    if found.version < SCHEMA_VERSION_NEEDED:
        raise SchemaTooOld(
            f"the database's schema is version {found.version}, "
            f"this worker needs {SCHEMA_VERSION_NEEDED}: {REMEDY}"
        )
    if found.oldest_worker > SCHEMA_VERSION_NEEDED:
        raise WorkerTooOld(
            f"the database's schema is version {found.version} and serves workers from version "
            f"{found.oldest_worker} on, this one is version {SCHEMA_VERSION_NEEDED}: "
            "install a newer worker"
        )
    await check_columns(conn)


async def check_columns(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Check that the tables have all columns of this version.

    Raises:
        SchemaDamaged: Columns are missing, as after `drop type ... cascade`; the message names
            them.
    """
    tables, columns = zip(*COLUMNS, strict=True)
    missing = await conn.fetchval(sql("missing_columns"), tables, columns)
    if missing:
        raise SchemaDamaged(
            f"columns are missing: {missing}; a script dropped them, perhaps the old schema's file "
            "that was run again: restore them and their values from a backup"
        )
