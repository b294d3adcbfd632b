"""Who holds a lock that a migration waits for."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from callrecord.errors import VoiceError
from callrecord.postgres.connection import connect
from callrecord.postgres.queries import sql

LOOK_EVERY_S: Final = 0.3


@dataclass
class Blockers:
    """Who was last seen blocking us, in words; empty if nobody was."""

    seen: str = ""


@asynccontextmanager
async def watching(url: str, application: str) -> AsyncIterator[Blockers]:
    """Watch who blocks connections of this application_name.

    If it cannot connect, the work inside goes on: it only adds names to an error message.
    """
    blockers = Blockers()
    task = asyncio.create_task(_look(url, application, blockers))
    try:
        yield blockers
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):  # as it was told to
            await task


async def _look(url: str, application: str, blockers: Blockers) -> None:
    try:
        connection = await connect(url)
    except VoiceError as error:
        blockers.seen = f"nobody could be asked who: {error}"
        return
    try:
        while True:
            if rows := await connection.fetch(sql("blockers"), application):
                blockers.seen = words(rows)
            await asyncio.sleep(LOOK_EVERY_S)
    except asyncpg.PostgresError as error:
        blockers.seen = f"nobody could be asked who: {error}"
    finally:
        connection.terminate()


async def holders_of(connection: "asyncpg.Connection[Any]", table: str) -> str:
    """Return who holds a lock on a table, in words."""
    return words(await connection.fetch(sql("holders_of_table"), table))


def words(rows: Iterable[Any]) -> str:
    """Return holders as `pid 4711 (login ann, psql, for 25 s)`."""
    return ", ".join(
        f"pid {row['pid']} (login {row['login']}, "
        + (f"{row['application']}, " if row["application"] else "")
        + f"for {row['seconds']} s)"
        for row in rows
    )
