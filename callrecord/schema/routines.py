"""The routines of the schema: functions, triggers, views, policies, grants and comments.

Each is defined in one file of `db/routines`. All of them are applied in one transaction, and only
if they differ from those that the database has.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from callrecord.errors import VoiceError
from callrecord.postgres.queries import sql
from callrecord.postgres.schema_version import SCHEMA_VERSION_NEEDED
from callrecord.privacy import private_logger
from callrecord.schema.lock_holders import holders_of

logger = private_logger("voice.migrate")

_IN_THE_WHEEL = Path(__file__).resolve().parent / "routines"
_IN_THE_PROJECT = Path(__file__).resolve().parents[2] / "db" / "routines"
ROUTINES = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_PROJECT

LOCK_TIMEOUT_S: Final = 2.0
"""Longest time that a writer waits behind us. It is longer than deadlock_timeout (one second),
after which an autovacuum cancels itself."""

ATTEMPTS: Final = 10
PAUSE_S: Final = 1.0

_FUNCTION, _ON_TABLES, _LAST = range(3)
_FIRST_FILES: Final = ("access/roles.sql", "access/auth_uid.sql", "access/schemas.sql")
_BEFORE_GRANTS: Final = "access/taken_back.sql"
_LAST_FILES: Final = ("dropped.sql", "version.sql")
# Postgres resolves all names in such a body when the function is created: they must exist.
_BOUND: Final = re.compile(r"^(?:begin atomic|return)\b", re.MULTILINE)
_MAKES_FUNCTION: Final = re.compile(r"^create or replace (?:function|procedure)\b", re.MULTILINE)
_ON_A_TABLE: Final = re.compile(r"\bcreate (?:or replace trigger|policy)\b")
# Not statements inside a block, such as the policy of users, a table that may not be ours.
_LOCKED: Final = re.compile(
    r"^create (?:or replace trigger|policy)\b.*?\bon (\w+\.\w+)", re.MULTILINE | re.DOTALL
)


class RoutinesError(VoiceError):
    """The routines could not be applied, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A file of `db/routines`: its path in that folder, and its text."""

    name: str
    text: str

    @property
    def on_tables(self) -> bool:
        """Whether it may need a lock on a table, so that it must run once all tables are locked."""
        return _kind(self) != _FUNCTION


@dataclass(frozen=True, slots=True)
class Routines:
    """All routines.

    Attributes:
        files: The files in the order in which they have to run.
        tables: The tables that have triggers or policies, sorted by name.
        digest: The digest of all names and texts.
    """

    files: list[Routine]
    tables: list[str]
    digest: str

    def split(self) -> tuple[list[Routine], list[Routine]]:
        """Return the files that lock nothing, and those that run with the tables locked."""
        free = [each for each in self.files if not each.on_tables]
        return free, self.files[len(free) :]


def read_routines(folder: Path = ROUTINES) -> Routines:
    """Read the files.

    Functions run first because they lock nothing. Files that lock a table run last, so that the
    locks are short.
    """
    files = [
        Routine(path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8"))
        for path in folder.rglob("*.sql")
    ]
    files.sort(key=_order)
    whole = hashlib.sha256()
    for each in files:
        whole.update(f"{each.name}\0{each.text}\0".encode())
    tables = sorted({table for each in files for table in _LOCKED.findall(each.text)})
    return Routines(files, tables, whole.hexdigest())


def _kind(routine: Routine) -> int:
    if routine.name in _LAST_FILES:
        return _LAST
    functions_only = _MAKES_FUNCTION.search(routine.text) and not _ON_A_TABLE.search(routine.text)
    return _FUNCTION if routine.name in _FIRST_FILES or functions_only else _ON_TABLES


def _order(routine: Routine) -> tuple[object, ...]:
    """Return the sort key of a file.

    Functions with a bound body run after the other functions, those of `public` last, because they
    use functions of the private schemas. Views run next, because grants and comments name them.
    """
    first = routine.name not in _FIRST_FILES
    last = _LAST_FILES.index(routine.name) if routine.name in _LAST_FILES else -1
    if _kind(routine) == _FUNCTION:
        place = (
            bool(_BOUND.search(routine.text)),
            "create or replace function public." in routine.text,
        )
    else:
        place = (
            routine.name != _BEFORE_GRANTS,
            "create or replace view" not in routine.text,
        )
    named = _FIRST_FILES.index(routine.name) if not first else 0
    return (first, _kind(routine), last, named, *place, routine.name)


class _Held(Exception):  # noqa: N818 - caught in this module
    """Another session holds a lock on this table, file or step."""

    def __init__(self, on: str) -> None:
        super().__init__(on)
        self.on = on


async def apply_routines(
    connection: "asyncpg.Connection[asyncpg.Record]", routines: Routines | None = None
) -> bool:
    """Apply the routines, unless the database already has them.

    They are applied again after a dump was restored elsewhere, because a restore skips policies and
    grants for roles that do not exist there.

    Args:
        connection: A connection of the database's owner.
        routines: The routines; by default those in the files.

    Returns:
        Whether anything was executed.

    Raises:
        RoutinesError: The database has newer routines, another session held a lock all the time,
            or Postgres refused a routine.
    """
    routines = routines or read_routines()
    connection.add_log_listener(_warn)
    try:
        return await _apply_patiently(connection, routines)
    finally:
        connection.remove_log_listener(_warn)


def _warn(_: object, message: asyncpg.PostgresLogMessage) -> None:
    """Log a routine's warning about a step that it skipped, and who can do that step."""
    if message.severity == "WARNING":
        logger.warning("%s", message.message)


async def _apply_patiently(
    connection: "asyncpg.Connection[asyncpg.Record]", routines: Routines
) -> bool:
    waited_for, holder = routines.tables[0], ""
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(PAUSE_S)
        try:
            if await _are_there(connection, routines):
                return False
            async with connection.transaction():
                return await _apply(connection, routines, waited_for)
        except _Held as error:
            on_table = error.on in routines.tables
            holder = await holders_of(connection, error.on) if on_table else ""
            logger.warning(
                "%s holds a lock on %s, will try again", holder or "another session", error.on
            )
            waited_for = error.on if error.on in routines.tables else waited_for
    raise RoutinesError(
        f"{holder or 'another session'} held a lock on {waited_for} at each of {ATTEMPTS} "
        "attempts: no routine was changed; end that session, or run migrate again later"
    )


async def _are_there(connection: "asyncpg.Connection[asyncpg.Record]", routines: Routines) -> bool:
    noted = await connection.fetchrow(_placed("routines_noted"))
    if noted is None:
        return False
    if noted["version"] > SCHEMA_VERSION_NEEDED:
        raise RoutinesError(too_new(noted["version"]))
    return bool(noted["noted"] == f"{routines.digest} {noted['place']}")


def _placed(name: str) -> str:
    return sql(name).replace("{place}", sql("routines_place"))


def too_new(version: int) -> str:
    """Return the error message for a database that a newer release has migrated."""
    return (
        f"the database's schema is version {version}, these files are version "
        f"{SCHEMA_VERSION_NEEDED}: use the newer release; nothing was changed"
    )


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]", routines: Routines, waited_for: str
) -> bool:
    """Run all files, unless another process has just done so; return whether they were run.

    It waits for the lock of only one table, before it holds any other. So it causes no deadlock,
    and no writer waits behind it for longer than the lock timeout.
    """
    await connection.execute(sql("routines_settings"), f"{LOCK_TIMEOUT_S}s")
    await _held(connection, sql("routines_turn"), "the routines")
    if await _are_there(connection, routines):
        return False
    free, on_tables = routines.split()
    for each in free:
        await _held(connection, each.text, each.name)
    for table in sorted(routines.tables, key=lambda table: table != waited_for):
        wait = "" if table == waited_for else " nowait"
        await _held(connection, f"lock table {table} in access exclusive mode{wait}", table)
    for each in on_tables:
        await _held(connection, each.text, each.name)
    await connection.execute(_placed("note_routines"), routines.digest)
    return True


async def _held(connection: "asyncpg.Connection[asyncpg.Record]", statements: str, on: str) -> None:
    try:
        await connection.execute(statements)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise _Held(on) from error
    except asyncpg.PostgresError as error:
        raise RoutinesError(f"{on}: {error}", sqlstate=error.sqlstate or "") from error


def psql_file(routines: Routines | None = None) -> str:
    """Return all routines as one statement, to apply them without `db migrate`."""
    routines = routines or read_routines()
    free, on_tables = routines.split()
    tables = ", ".join(routines.tables)
    parts = [
        _PSQL_HEAD.format(version=SCHEMA_VERSION_NEEDED, timeout=LOCK_TIMEOUT_S),
        *map(_executed, free),
        f"    execute 'lock table {tables} in access exclusive mode';\n",
        *map(_executed, on_tables),
    ]
    note = _placed("note_routines").strip().replace("$1::text", f"'{routines.digest}'")
    parts.append(f"\n    {note};\nend\n$routines$;\nselect voice_worker.bring_auth_users();\n")
    return "".join(parts)


def _executed(routine: Routine) -> str:
    return f"\n    -- {routine.name}\n    execute $routine$\n{routine.text}$routine$;\n"


_PSQL_HEAD: Final = """\
-- Generated from db/routines by `python -m db routines > db/routines.sql`: edit the files there.
-- Run this after the numbered files of migrations, with `psql -1` or without. The first statement
-- does all or nothing; the last gives users who signed up before their rows. A second run changes
-- nothing.
do $routines$
begin
    perform set_config('lock_timeout', '{timeout}s', true);
    perform set_config('check_function_bodies', 'off', true);
    perform pg_advisory_xact_lock(hashtext('voice_worker'), hashtext('routines'));
    if exists (select from voice_worker.schema_version where version > {version}) then
        raise exception 'the schema of the database is newer than {version}: nothing was changed'
            using hint = 'A newer release migrated it: use the files of that release.';
    end if;
"""
