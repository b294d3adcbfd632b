"""The store: applies batches to Postgres over one connection, and says what an error means."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from callrecord.errors import Hold, Locked, Refused, Stop, Transient, Unusable, VoiceError
from callrecord.events import encode
from callrecord.outbox.refused_files import RefusedEvent
from callrecord.postgres.batch import CallBatch, to_json
from callrecord.postgres.connection import CONNECT_TIMEOUT_S, connect
from callrecord.postgres.queries import sql
from callrecord.postgres.schema_version import check
from callrecord.privacy import private_logger

logger = private_logger("voice.store")

COMMAND_TIMEOUT_S = 35.0
"""Longer than the statement_timeout of the worker's role (30 s): the server should say no first."""

_TRANSIENT_CLASSES = ("08", "28", "40", "53", "57", "58", "XX")
_TRANSIENT_STATES = ("25006", "3D000")
_REFUSED_CLASSES = ("22", "23", "54")


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch.

    Attributes:
        call_ids: The row's id for each call's key; None if its owner deleted it.
        discarded: Events of deleted calls, which were let go.
    """

    call_ids: dict[UUID, UUID | None]
    discarded: int


class _Reply(msgspec.Struct):
    call_ids: dict[UUID, UUID | None]


_reply_decoder = msgspec.json.Decoder(_Reply)


def meaning(error: Exception) -> VoiceError:
    """Return what the caller of the store can do about an error, by its class or SQLSTATE.

    The list is architecture.md's; what stands in none of its lines is held and alerted, since a
    wrongly refused row would be lost to the call.
    """
    if isinstance(error, asyncpg.PostgresError):
        return _meaning_of_state(error, error.sqlstate or "")
    if isinstance(error, asyncpg.DataError | UnicodeEncodeError):
        return Refused(str(error))
    outage = isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | EOFError)
    if outage and not isinstance(error, asyncpg.ClientConfigurationError):
        return Transient(f"{type(error).__name__}: {error}")
    return Hold(f"{type(error).__name__}: {error}")


def _meaning_of_state(error: asyncpg.PostgresError, state: str) -> VoiceError:
    if state[:2] in _REFUSED_CLASSES:
        return Refused(str(error), sqlstate=state)
    # These go into the log: without the detail, which may quote a row, and so what people said.
    told = f"{state}: {error.args[0] if error.args else type(error).__name__}"
    if state == asyncpg.LockNotAvailableError.sqlstate:
        return Locked(told, sqlstate=state)
    if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES:
        return Transient(told, sqlstate=state)
    return Hold(told, sqlstate=state)


class Store:
    """One connection, made when needed and made anew after any transient error.

    A batch is a single statement: no transaction is ever left open between two round trips, so a
    network that goes silent leaves no locks behind.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def apply(self, calls: list[CallBatch]) -> Applied:
        """Apply a batch, whole or not at all.

        Raises:
            Transient: Try the same batch again after a pause; it may have been applied.
            Hold: The schema or the rights do not fit; a person has to act.
            Refused: Some row in it can never be stored: try its parts.
        """
        reply = await self._run("apply_batch", to_json(calls))
        ids = _reply_decoder.decode(reply).call_ids
        discarded = sum(len(call.entries) for call in calls if ids.get(call.header.key) is None)
        return Applied(ids, discarded)

    async def refuse(self, event: RefusedEvent) -> None:
        """Keep an event aside that can't be stored, with its raw bytes. Same errors as apply."""
        header = None if event.header is None else encode(event.header).decode()
        ids = event.call_id, event.call_key, event.job_id
        place = event.source, event.byte_offset
        await self._run(
            "refuse_event", *place, *ids, event.raw, event.sqlstate, event.error, header
        )

    async def ping(self) -> None:
        """Return if the database answers.

        Raises:
            Transient: It does not.
        """
        await self._run("ping")

    async def rows(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        """Return the rows of a query, by its file's name. Same errors as apply."""
        found: list[asyncpg.Record] = await self._mapped(self._fetch, name, *arguments)
        return found

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=2)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    async def _run(self, name: str, *arguments: object) -> str:
        return str(await self._mapped(self._ask, name, *arguments))

    async def _mapped(
        self, ask: Callable[..., Awaitable[Any]], name: str, *arguments: object
    ) -> Any:
        try:
            try:
                return await ask(name, *arguments)
            except asyncpg.InternalClientError:
                # The driver lost its place, as it does when a connection dies at the wrong moment.
                # Every statement of ours can be sent twice: a new connection tells what it was.
                self._drop()
                return await ask(name, *arguments)
        except asyncio.CancelledError:
            self._drop()  # what the server is doing for us is unknown; nobody waits for it
            raise
        except VoiceError:  # of the connection, which says itself what it means
            self._drop()
            raise
        except Exception as error:
            mapped = meaning(error)
            if isinstance(mapped, Transient) or not isinstance(error, asyncpg.PostgresError):
                self._drop()
            raise mapped from error

    async def _ask(self, name: str, *arguments: object) -> Any:
        connection = await self._connected()
        return await connection.fetchval(sql(name), *arguments)

    async def _fetch(self, name: str, *arguments: object) -> Any:
        connection = await self._connected()
        return await connection.fetch(sql(name), *arguments)

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._dsn, timeout_s=CONNECT_TIMEOUT_S, command_timeout_s=COMMAND_TIMEOUT_S
            )
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()


async def check_schema(dsn: str) -> None:
    """Return if the database is there and its schema serves this worker.

    Raises:
        Transient: The database is away.
        Stop: The schema or the login is not right; one line that says what to change.
    """
    connection = None
    try:
        connection = await connect(
            dsn, timeout_s=CONNECT_TIMEOUT_S, command_timeout_s=CONNECT_TIMEOUT_S
        )
        await check(connection)
    except Unusable as error:
        raise Stop(str(error)) from error
    except VoiceError:
        raise
    except Exception as error:
        mapped = meaning(error)
        if isinstance(mapped, Transient):
            raise mapped from error
        raise Stop(f"DATABASE_URL: {error}") from error
    finally:
        if connection is not None:
            connection.terminate()


logger = private_logger("voice.ship")

SCHEMA_TIMEOUT_S = 5.0


async def check_schema_if_there(dsn: str) -> None:
    """Check that the database has a schema for this version; one that is away is no obstacle.

    Raises:
        Stop: It has another schema, or refuses the login; one line that says what to do.
    """
    try:
        await asyncio.wait_for(check_schema(dsn), SCHEMA_TIMEOUT_S)
    except (Transient, TimeoutError) as error:
        why = str(error) or "no answer"
        logger.warning("database away, events wait on disk", extra={"error": why})
