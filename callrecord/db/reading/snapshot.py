"""The connection of an operator's command: one snapshot of the rows, and errors in one line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from callrecord.db.errors import Transient, VoiceError
from callrecord.db.migrate import BadDatabaseUrl, checked_url
from callrecord.db.schema import REMEDY, NotEnlisted, SchemaTooOld
from callrecord.db.store import COMMAND_TIMEOUT_S, CONNECT_TIMEOUT_S, meaning

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
_WRONG_URL = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


@asynccontextmanager
async def snapshot(url: str | None) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """Connect, read-only: all that is read within belongs together.

    Raises:
        Stop: The URL, the login or the schema does not do; one line that says what to change.
        VoiceError: The database is away, or failed; one line too.
    """
    connection = await _connect(checked_url(url))
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=_no_time, decoder=_time, format="tuple"
            )
            yield connection
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise _told(error) from error
    finally:
        connection.terminate()


async def _connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    try:
        # PgBouncer in transaction mode: no prepared statements, no start-up parameters.
        return await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            statement_cache_size=0,
        )
    except _WRONG_URL as error:
        raise BadDatabaseUrl(f"DATABASE_URL is refused by Postgres: {error.args[0]}") from error
    except (OSError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        raise Transient(f"Postgres does not answer (DATABASE_URL): {why}") from error
    except asyncpg.PostgresError as error:
        raise meaning(error) from error
    except (asyncpg.InterfaceError, ValueError) as error:
        raise BadDatabaseUrl("DATABASE_URL holds an option that is not understood") from error


def _told(error: Exception) -> VoiceError:
    if isinstance(error, _ABSENT):
        return SchemaTooOld(f"the schema is absent or too old ({_head(error)}): {REMEDY}")
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return NotEnlisted(
            f"the login of DATABASE_URL may not read calls ({_head(error)}): as the database's "
            "owner, run select voice_worker.enlist('<login>')"
        )
    return meaning(error)


def _head(error: Exception) -> str:
    return str(error.args[0])  # a detail and a hint would follow, each on a line of its own


def _time(value: tuple[int]) -> datetime:
    """Return microseconds since 2000; what Python's years do not reach is their end.

    A user may write any time into a call of his, and an operator still wants the list.
    """
    try:
        return _EPOCH + timedelta(microseconds=value[0])
    except OverflowError:
        return _LAST if value[0] > 0 else _FIRST


def _no_time(_value: object) -> tuple[int]:
    raise NotImplementedError("no statement of a snapshot has a time among its arguments")
