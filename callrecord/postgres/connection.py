"""Connects to Postgres, for worker and commands alike, and classifies refusals."""

import asyncio
import socket
import ssl
from functools import cache
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from callrecord.errors import Transient, Unusable
from callrecord.postgres.database_url import BadDatabaseUrl, DatabaseUrl, read_url
from callrecord.privacy import private_logger

logger = private_logger("voice.store")

CONNECT_TIMEOUT_S = 5.0

_UNKNOWN_HOST: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_REFUSED: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,  # also for a wrong password
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedObjectError,  # a start-up parameter that the server does not know
    asyncpg.CantChangeRuntimeParamError,
    asyncpg.InvalidParameterValueError,
)
"""Postgres' own refusals of a login, which no retry can fix."""

_REFUSED_BY_A_POOLER: Final = (
    "tenant or user not found",  # Supavisor, XX000
    "password authentication failed",  # PgBouncer, 08P01 for all of its errors
    "sasl authentication failed",
    "no such database",
    "no such user",
    "unsupported startup parameter",
    "database does not allow connections",
    "login rejected",
    "tls required",
    "ssl required",
)
"""How the messages of poolers start. They use the same code for these and for transient errors such
as "no more connections allowed", so only the text shows which it is."""


async def connect(
    url: str, *, timeout_s: float = CONNECT_TIMEOUT_S, command_timeout_s: float | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect to the database of a DATABASE_URL.

    Raises:
        BadDatabaseUrl: The URL can't be read.
        Unusable: The login, the database or its TLS is refused, or the host does not exist; no
            retry can fix that.
        Transient: The database is away.
    """
    wanted = read_url(url)
    _report_ignored(wanted.ignored)
    try:
        # PgBouncer in transaction mode: no prepared statements, no start-up parameters.
        connecting = asyncpg.connect(
            wanted.dsn,
            timeout=timeout_s,
            command_timeout=command_timeout_s,
            statement_cache_size=0,
            ssl=wanted.tls,
        )
        return await _or_close(asyncio.ensure_future(connecting))
    except Exception as error:
        if why := refusal(error):
            raise Unusable(f"DATABASE_URL: {why}{_advice(wanted, error)}") from error
        if isinstance(error, asyncpg.ClientConfigurationError | ValueError):
            raise BadDatabaseUrl(
                "DATABASE_URL has an invalid option or value: correct it"
            ) from error
        if isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | EOFError):
            why = str(error) or type(error).__name__
            raise Transient(f"{why}{_advice(wanted, error)}") from error
        if isinstance(error, asyncpg.PostgresError):
            raise Transient(f"{error.sqlstate}: {_head(error)}") from error
        raise


async def _or_close(
    connecting: "asyncio.Future[asyncpg.Connection[asyncpg.Record]]",
) -> "asyncpg.Connection[asyncpg.Record]":
    """Return the connection; close it if the caller is cancelled just as it is established."""
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        connecting.cancel()
        connecting.add_done_callback(_close)
        raise


def _close(connecting: "asyncio.Future[asyncpg.Connection[asyncpg.Record]]") -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().terminate()


async def writable_url(url: str) -> str:
    """Return the URL with only the host that accepts writes, for a program that takes one host.

    Raises:
        Transient, Unusable: No host accepts writes; this is the error of the last one.
    """
    hosts = read_url(url).each_host()
    if len(hosts) == 1:
        return url
    failed: Transient | None = None
    for each in hosts:
        try:
            await (await connect(each)).close()
        except Transient as error:
            failed = error
        else:
            return each
    raise failed or Transient("no host")


def refusal(error: Exception) -> str | None:
    """Return why a connection was refused for good, in one line; None if a retry may work."""
    if isinstance(error, _REFUSED) or _is_from_a_pooler(error):
        return _head(error)
    if isinstance(error, socket.gaierror):
        return "its host does not exist" if error.errno in _UNKNOWN_HOST else None
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate can't be verified: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and not isinstance(
        error, ssl.SSLEOFError | ssl.SSLZeroReturnError
    ):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, ConnectionError) and "rejected SSL upgrade" in str(error):
        return "the server has no TLS: add sslmode=disable, or enable TLS on the server"
    return None


def _is_from_a_pooler(error: Exception) -> bool:
    kinds = asyncpg.ProtocolViolationError | asyncpg.InternalServerError
    return isinstance(error, kinds) and _head(error).lower().startswith(_REFUSED_BY_A_POOLER)


def _advice(url: DatabaseUrl, error: Exception) -> str:
    """Return what to change if the provider is known; it is appended to the error."""
    host = urlsplit(url.each_host()[0]).hostname or ""
    if _head(error).lower().startswith("tenant or user"):
        return ": with Supabase's pooler, the user name is role.projectref"
    unreachable = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    if host.startswith("db.") and host.endswith(".supabase.co") and unreachable:
        return ": this host has only IPv6; on IPv4, use the session pooler's address"
    return ""


def _head(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


@cache
def _report_ignored(options: tuple[str, ...]) -> None:
    if options:
        logger.info(
            "DATABASE_URL has options for other clients, ignored", extra={"options": options}
        )
