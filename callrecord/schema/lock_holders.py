"""Finds the sessions that hold a lock which a migration waits for."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from callrecord.errors import VoiceError
from callrecord.postgres.connection import connect
from callrecord.postgres.queries import sql

CHECK_EVERY_S: Final = 0.3


@dataclass
class Blockers:
    """The sessions that blocked us at the last check, as text; empty if none did."""

    seen: str = ""


@asynccontextmanager
async def watching(url: str, application: str) -> AsyncIterator[Blockers]:
    """Watch which sessions block connections with this application_name.

    If it can't connect, the block still runs: the result only adds detail to an error message.
    """
    blockers = Blockers()
    task = asyncio.create_task(_watch(url, application, blockers))
    try:
        yield blockers
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(url: str, application: str, blockers: Blockers) -> None:
    try:
        connection = await connect(url)
    except VoiceError as error:
        blockers.seen = f"an unknown session (no connection to ask: {error})"
        return
    try:
        while True:
            if rows := await connection.fetch(sql("blockers"), application):
                blockers.seen = words(rows)
            await asyncio.sleep(CHECK_EVERY_S)
    except asyncpg.PostgresError as error:
        blockers.seen = f"an unknown session (the query for it failed: {error})"
    finally:
        connection.terminate()


async def holders_of(connection: "asyncpg.Connection[Any]", table: str) -> str:
    """Return the sessions that hold a lock on a table, as text."""
    return words(await connection.fetch(sql("holders_of_table"), table))


def words(rows: Iterable[Any]) -> str:
    """Return sessions as `pid 4711 (login ann, psql, for 25 s)`."""
    return ", ".join(
        f"pid {row['pid']} (login {row['login']}, "
        + (f"{row['application']}, " if row["application"] else "")
        + f"for {row['seconds']} s)"
        for row in rows
    )
