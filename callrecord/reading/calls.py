"""Finds calls.

Each function takes an asyncpg connection or pool. Row level security hides calls that the login may
not see, as if they did not exist.
"""

from typing import Any, Protocol
from uuid import UUID

import asyncpg

from callrecord.postgres.queries import sql
from callrecord.reading.decoding import row_of, rows_of, select
from callrecord.rows import ActiveCall, Call, CallStatus


class Reader(Protocol):
    """The methods that these functions need of a connection or pool."""

    async def fetch(self, query: str, /, *args: object) -> "list[asyncpg.Record]":
        """Return all rows."""

    async def fetchrow(self, query: str, /, *args: object) -> "asyncpg.Record | None":
        """Return the first row."""

    async def fetchval(self, query: str, /, *args: object) -> Any:
        """Return the first value of the first row."""


async def get_call(conn: Reader, call_id: UUID) -> Call | None:
    """Return the call with this id; None if there is none."""
    return _call(await conn.fetchrow(select(Call, "get_call"), call_id))


async def call_by_session(conn: Reader, session_id: str) -> Call | None:
    """Return the call with this session_id, usually its room's name; None if there is none."""
    return _call(await conn.fetchrow(select(Call, "call_by_session"), session_id))


async def find_call(conn: Reader, name: str) -> Call | None:
    """Return the call with this id, session_id or room sid, tried in that order; None if none."""
    return _call(await conn.fetchrow(select(Call, "find_call"), name, _uuid_or_none(name)))


async def calls_of_user(conn: Reader, user_id: UUID, limit: int = 20) -> list[Call]:
    """Return a user's calls, the newest first."""
    return rows_of(Call, await conn.fetch(select(Call, "calls_of_user"), user_id, limit))


async def newest_calls(
    conn: Reader,
    *,
    user_id: UUID | None = None,
    status: CallStatus | None = None,
    limit: int = 20,
) -> list[Call]:
    """Return calls, the newest first: all, or those of one user or with one status."""
    return rows_of(Call, await conn.fetch(select(Call, "newest_calls"), user_id, status, limit))


async def active_calls(conn: Reader) -> list[ActiveCall]:
    """Return the active calls and their participants, the newest first.

    Users' names and e-mails are None if the login may not read them, like the worker's login.
    """
    sees_users = await conn.fetchval(sql("may_read_summary"))
    name = "active_calls" if sees_users else "active_calls_without_users"
    return rows_of(ActiveCall, await conn.fetch(sql(name)))


def _call(record: "asyncpg.Record | None") -> Call | None:
    return None if record is None else row_of(Call, record)


def _uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
