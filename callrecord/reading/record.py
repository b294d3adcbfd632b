"""Reads all rows of one call: its turns, legs and model requests."""

from dataclasses import dataclass
from uuid import UUID

from callrecord.postgres.queries import sql
from callrecord.reading.calls import Reader
from callrecord.reading.decoding import rows_of, select
from callrecord.rows import Call, Leg, Message, Usage


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call with all its rows, each kind in order."""

    call: Call
    legs: list[Leg]
    messages: list[Message]
    usage: list[Usage]


async def conversation(conn: Reader, call_id: UUID) -> list[Message]:
    """Return what caller and agent said, in order: all messages except those of role `system`."""
    return rows_of(Message, await conn.fetch(select(Message, "conversation"), call_id))


async def messages_of_call(conn: Reader, call_id: UUID) -> list[Message]:
    """Return all messages, also function calls, ordered by timestamp and sequence_number."""
    return rows_of(Message, await conn.fetch(select(Message, "messages_of_call"), call_id))


async def legs_of_call(conn: Reader, call_id: UUID) -> list[Leg]:
    """Return the stays of all participants, in the order of joining."""
    return rows_of(Leg, await conn.fetch(select(Leg, "legs_of_call"), call_id))


async def usage_of_call(conn: Reader, call_id: UUID) -> list[Usage]:
    """Return the model requests, in order."""
    return rows_of(Usage, await conn.fetch(select(Usage, "usage_of_call"), call_id))


async def ledger_faults(conn: Reader, call_id: UUID) -> list[str]:
    """Return the tokens and costs of a call and its messages that do not add up; empty if all do.

    A call whose job was killed may lack the end of a request.
    """
    return [row[0] for row in await conn.fetch(sql("ledger_faults"), call_id)]


async def record_of(conn: Reader, call: Call) -> CallRecord:
    """Return a call with all its rows.

    For a running call, use a repeatable read, so that the rows are consistent.
    """
    return CallRecord(
        call,
        await legs_of_call(conn, call.id),
        await messages_of_call(conn, call.id),
        await usage_of_call(conn, call.id),
    )
