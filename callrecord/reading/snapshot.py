"""The connection of an operator's command: a consistent snapshot, and errors in one line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from callrecord.errors import Transient, Unusable, VoiceError
from callrecord.postgres.connection import connect
from callrecord.postgres.database_url import BadDatabaseUrl, checked_url
from callrecord.postgres.schema_version import REMEDY, NotEnlisted, SchemaTooOld
from callrecord.postgres.store import COMMAND_TIMEOUT_S, meaning

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

_ABSENT = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)


@asynccontextmanager
async def snapshot(url: str | None) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Connect read-only; all reads in the block see the same snapshot.

    Raises:
        Stop: The URL, the login or the schema is wrong; the message says what to change.
        VoiceError: The database is away or failed.
    """
    connection = await _connect(checked_url(url))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=_no_time, decoder=_time, format="tuple"
            )
            yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise _as_voice_error(error) from error
    finally:
        connection.terminate()


async def _connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        return await connect(url, command_timeout_s=COMMAND_TIMEOUT_S)
    except Unusable as error:
        raise BadDatabaseUrl(str(error)) from error
    except Transient as error:
        raise Transient(f"Postgres does not answer (DATABASE_URL): {error}") from error


def _as_voice_error(error: Exception) -> VoiceError:
    if isinstance(error, _ABSENT):
        return SchemaTooOld(f"the schema is missing or too old ({_head(error)}): {REMEDY}")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return NotEnlisted(
            f"the login of DATABASE_URL may not read calls ({_head(error)}): as the database's "
            "owner, run select voice_worker.enlist('<login>')"
        )
    return meaning(error)


def _head(error: Exception) -> str:
    return str(error.args[0])  # without detail and hint, which are further lines


def _time(value: tuple[int]) -> datetime:
    """Decode microseconds since 2000; clamp times outside Python's range.

    Users may write any time into their calls, and it must not break the operator's list.
    """
    try:
        return _EPOCH + timedelta(microseconds=value[0])
    except OverflowError:
        return _LAST if value[0] > 0 else _FIRST


def _no_time(_value: object) -> tuple[int]:
    raise NotImplementedError("a snapshot's statements have no time arguments")
