"""The store: applies batches to Postgres over one connection, and classifies errors."""

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
"""Longer than the statement_timeout of the worker's role (30 s), so that the server ends first."""

_TRANSIENT_CLASSES = ("08", "28", "40", "53", "57", "58", "XX")
_TRANSIENT_STATES = ("25006", "3D000")
_REFUSED_CLASSES = ("22", "23", "54")


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of a batch.

    Attributes:
        call_ids: The row's id for each call's key; None if its owner deleted the call.
        discarded: Number of events that were discarded because their call was deleted.
    """

    call_ids: dict[UUID, UUID | None]
    discarded: int


class _Reply(msgspec.Struct):
    call_ids: dict[UUID, UUID | None]


_reply_decoder = msgspec.json.Decoder(_Reply)


def meaning(error: Exception) -> VoiceError:
    """Return the kind of an error, by what the store's caller can do about it.

    The list is in architecture.md. An error that is not in it is held and logged, because a wrongly
    refused row would be missing from the call.
    """
    if isinstance(error, asyncpg.PostgresError):
        return _meaning_of_state(error, error.sqlstate or "")
    if isinstance(error, UnicodeEncodeError):
        return Refused(str(error))
    outage = isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | EOFError)
    if outage and not isinstance(error, asyncpg.ClientConfigurationError):
        return Transient(f"{type(error).__name__}: {error}")
    return Hold(f"{type(error).__name__}: {error}")


def _meaning_of_state(error: asyncpg.PostgresError, state: str) -> VoiceError:
    if state[:2] in _REFUSED_CLASSES:
        return Refused(str(error), sqlstate=state)
    # These are logged: omit the detail, which may quote a row, and so what people said.
    text = f"{state}: {error.args[0] if error.args else type(error).__name__}"
    if state == asyncpg.LockNotAvailableError.sqlstate:
        return Locked(text, sqlstate=state)
    if state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES:
        return Transient(text, sqlstate=state)
    return Hold(text, sqlstate=state)


class Link:
    """One connection, opened on demand, and opened again after a transient error.

    A batch is a single statement: no transaction stays open between two round trips, so a dead
    network leaves no locks behind.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def close(self) -> None:
        """Close the connection. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=2)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    async def _run(self, name: str, *arguments: object) -> str:
        return str(await self._with_meaning(self._ask, name, *arguments))

    async def _with_meaning(
        self, ask: Callable[..., Awaitable[Any]], name: str, *arguments: object
    ) -> Any:
        try:
            try:
                return await ask(name, *arguments)
            except asyncpg.InternalClientError:
                # The driver's state is broken, as happens when a connection dies at a bad moment.
                # Every statement is safe to send twice, and a new connection shows the cause.
                self._drop()
                return await ask(name, *arguments)
        except asyncio.CancelledError:
            self._drop()  # the server may still be running the statement
            raise
        except VoiceError:  # from `connect`, already classified
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


class Store(Link):
    """Stores what calls have recorded, and asks for what operators look at."""

    async def apply(self, calls: list[CallBatch]) -> Applied:
        """Apply a batch, whole or not at all.

        Raises:
            Transient: Try the same batch again after a pause; it may have been applied.
            Hold: The schema or the rights are wrong; an operator has to act.
            Refused: It has a row that can never be stored: try its parts.
        """
        reply = await self._run("apply_batch", to_json(calls))
        ids = _reply_decoder.decode(reply).call_ids
        discarded = sum(len(call.entries) for call in calls if ids.get(call.header.key) is None)
        return Applied(ids, discarded)

    async def refuse(self, event: RefusedEvent) -> None:
        """Keep an event that can't be stored aside, with its raw bytes. Raises as `apply` does."""
        header = None if event.header is None else encode(event.header).decode()
        ids = event.call_id, event.call_key, event.job_id
        place = event.source, event.byte_offset
        await self._run(
            "refuse_event", *place, *ids, event.raw, event.sqlstate, event.error, header
        )

    async def ping(self) -> None:
        """Check that the database answers.

        Raises:
            Transient: The database is away.
        """
        await self._run("ping")

    async def rows(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        """Return the rows of a query, named by its file. Raises as `apply` does."""
        found: list[asyncpg.Record] = await self._with_meaning(self._fetch, name, *arguments)
        return found


async def check_schema(dsn: str) -> None:
    """Check that the database answers and that its schema serves this worker.

    Raises:
        Transient: The database is away.
        Stop: The schema or the login is wrong; the message is one line that says what to change.
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
    """Check the schema as `check_schema` does, but only log a warning if the database is away.

    Raises:
        Stop: The schema or the login is wrong; the message is one line that says what to do.
    """
    try:
        await asyncio.wait_for(check_schema(dsn), SCHEMA_TIMEOUT_S)
    except (Transient, TimeoutError) as error:
        why = str(error) or "no answer"
        logger.warning("database away, events wait on disk", extra={"error": why})
