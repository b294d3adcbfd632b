"""One call with all its rows, as tables."""

from collections.abc import Iterable

from callrecord.operator.rendering.as_json import compact
from callrecord.operator.rendering.plain import plain, wrapped
from callrecord.operator.rendering.table import GAP, table
from callrecord.operator.rendering.timeline import timeline_lines
from callrecord.operator.rendering.usage import usage_table
from callrecord.operator.rendering.values import clock, money, number, second, seconds
from callrecord.operator.timeline import timeline_of
from callrecord.reading import Call, CallRecord, Leg, Message


def record_page(record: CallRecord, *, width: int, colour: bool = False) -> list[str]:
    """Return the call, its timeline, legs, turns and usage."""
    drawn = timeline_lines(timeline_of(record), width=width, colour=colour)
    parts = (
        ("timeline", drawn, drawn),
        ("legs", legs_table(record.legs, width=width), record.legs),
        ("turns", turns_table(record.messages, width=width), record.messages),
        ("usage", usage_table(record.usage, width=width), record.usage),
    )
    lines = call_lines(record.call, width=width)
    for name, text, rows in parts:
        lines += ["", name, *(text if rows else ["none"])]
    return lines


def call_lines(call: Call, *, width: int) -> list[str]:
    """Return the columns of the call's row that are not null or empty."""
    columns = {
        "call": str(call.id),
        "session_id": call.session_id,
        "room_name": call.room_name,
        "room_sid": call.room_sid,
        "user_id": str(call.user_id) if call.user_id else None,
        "callee_id": str(call.callee_id) if call.callee_id else None,
        "status": call.status,
        "end_reason": call.end_reason,
        "created_at": second(call.created_at),
        "started_at": second(call.started_at),
        "connected_at": second(call.connected_at),
        "ended_at": second(call.ended_at),
        "duration": None if call.duration_seconds is None else f"{call.duration_seconds} s",
        "agent_identity": call.agent_identity,
        "job_id": call.job_id,
        "tokens": str(call.total_tokens_used),
        "cost": money([call.cost]),
        "recording_url": call.recording_url,
        "metadata": compact(call.metadata) if call.metadata else None,
    }
    column = max(map(len, columns))
    lines = ["all times are UTC"]
    for name, value in columns.items():
        if value:
            first, *more = wrapped(plain(value), max(width - column - len(GAP), column))
            lines.append(f"{name:{column}}{GAP}{first}".rstrip())
            lines += [f"{'':{column}}{GAP}{each}" for each in more]
    return lines


def legs_table(legs: Iterable[Leg], *, width: int) -> list[str]:
    """Return a table with one row for each stay in the room."""
    rows = [
        (
            leg.participant_name or leg.participant_identity,
            leg.participant_type,
            leg.kind,
            clock(leg.joined_at),
            clock(leg.left_at),
            None if leg.duration_seconds is None else str(leg.duration_seconds),
            leg.disconnect_reason,
        )
        for leg in legs
    ]
    names = ("who", "type", "kind", "joined", "left", "seconds", "why it left")
    return table(names, rows, width=width, wraps=("who", "why it left"))


def turns_table(messages: Iterable[Message], *, width: int) -> list[str]:
    """Return the turns; the latency is from the caller's last word to the answer's first sound."""
    rows = [
        (
            clock(turn.timestamp),
            turn.role,
            number(turn.tokens_used),
            seconds(turn.e2e_latency_ms),
            "yes" if turn.interrupted else None,
            turn.content,
        )
        for turn in messages
    ]
    names = ("at", "role", "tokens", "latency", "interrupted", "content")
    return table(names, rows, width=width, wraps=("content",))
