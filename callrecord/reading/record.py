"""All that belongs to one call: its turns, legs and model requests."""

from dataclasses import dataclass
from uuid import UUID

from callrecord.postgres.queries import sql
from callrecord.reading.calls import Reader
from callrecord.reading.decoding import rows_of, select
from callrecord.rows import Call, Leg, Message, Usage


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call with all its rows, each kind in its order."""

    call: Call
    legs: list[Leg]
    messages: list[Message]
    usage: list[Usage]


async def conversation(conn: Reader, call_id: UUID) -> list[Message]:
    """Return what caller and agent said, in order: messages without those of role `system`."""
    return rows_of(Message, await conn.fetch(select(Message, "conversation"), call_id))


async def messages_of_call(conn: Reader, call_id: UUID) -> list[Message]:
    """Return all messages, function calls too, in the order of timestamp and sequence_number."""
    return rows_of(Message, await conn.fetch(select(Message, "messages_of_call"), call_id))


async def legs_of_call(conn: Reader, call_id: UUID) -> list[Leg]:
    """Return who was in the room, in the order of joining."""
    return rows_of(Leg, await conn.fetch(select(Leg, "legs_of_call"), call_id))


async def usage_of_call(conn: Reader, call_id: UUID) -> list[Usage]:
    """Return the requests to models, in their order."""
    return rows_of(Usage, await conn.fetch(select(Usage, "usage_of_call"), call_id))


async def ledger_faults(conn: Reader, call_id: UUID) -> list[str]:
    """Return what in a call's ledger does not add up: tokens and cost of its messages and its own.

    Empty for a ledger that does; a call whose job was killed may lack the end of a request.
    """
    return [row[0] for row in await conn.fetch(sql("ledger_faults"), call_id)]


async def record_of(conn: Reader, call: Call) -> CallRecord:
    """Return a call with all its rows.

    While the call goes on only a repeatable read gives rows that belong together.
    """
    return CallRecord(
        call,
        await legs_of_call(conn, call.id),
        await messages_of_call(conn, call.id),
        await usage_of_call(conn, call.id),
    )
