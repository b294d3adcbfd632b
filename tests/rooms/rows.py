"""The rows of calls, as a front end reads them."""

from collections.abc import Callable

import asyncpg

from callrecord.reading import ledger_faults
from local.demo.rows import Rows, read_rows
from tests.waiting import until


class Reader:
    """Reads calls on a connection of its own."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    async def call(self, room: str) -> Rows | None:
        """Return the rows of the call in this room, or None if there is none yet."""
        call_id = await self._connection.fetchval(
            "select id from voice_calls where session_id = $1", room
        )
        return None if call_id is None else await read_rows(self._connection, call_id)

    async def when(
        self,
        room: str,
        condition: Callable[[Rows], bool],
        *,
        timeout_s: float = 60.0,
        what: str = "the rows",
    ) -> Rows:
        """Wait until the call's rows meet the condition, and return them."""
        seen: Rows | None = None

        async def look() -> Rows | None:
            nonlocal seen
            seen = await self.call(room)
            return seen if seen is not None and condition(seen) else None

        try:
            return await until(look, timeout_s=timeout_s, what=f"{what} of room {room}")
        except AssertionError as error:
            there = (
                [(row["role"], row["content"], row["metadata"]) for row in seen.messages]
                if seen
                else None
            )
            error.add_note(f"its call: {seen and seen.call['end_reason']}, its messages: {there}")
            raise

    async def ended(self, room: str, *, timeout_s: float = 60.0) -> Rows:
        """Wait until the call has ended and return its rows; its ledger must add up."""
        rows = await self.when(
            room,
            lambda rows: rows.call["ended_at"] is not None,
            timeout_s=timeout_s,
            what="the end",
        )
        assert not await ledger_faults(self._connection, rows.call["id"])
        gaps = rows.call["usage_gaps"] or []
        # A model may have told nothing; what LiveKit has counted and what we saw may not be lost.
        assert not [gap for gap in gaps if "in the session" in gap or "handled" in gap]
        return rows


def said(rows: Rows, role: str) -> list[str]:
    """Return what a role said, in order."""
    return [message["content"] for message in rows.messages if message["role"] == role]
