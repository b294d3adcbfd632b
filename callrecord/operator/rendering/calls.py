"""Lists of calls."""

from collections.abc import Iterable

from callrecord.operator.rendering.table import table
from callrecord.operator.rendering.values import length, minute, number
from callrecord.reading import ActiveCall, Call


def calls_table(calls: Iterable[Call], *, width: int) -> list[str]:
    """Return a table with one row for each call."""
    rows = [
        (
            minute(call.created_at),
            str(call.id),
            call.status,
            call.end_reason,
            length(call.duration_seconds),
            number(call.total_tokens_used),
        )
        for call in calls
    ]
    names = ("created (UTC)", "call", "status", "why it ended", "length", "tokens")
    return table(names, rows, width=width)


def active_table(calls: Iterable[ActiveCall], *, width: int) -> list[str]:
    """Return a table of active calls and their participants."""
    rows = [
        (
            minute(call.started_at),
            str(call.id),
            call.user_name or (str(call.user_id) if call.user_id else None),
            ", ".join(call.participants),
        )
        for call in calls
    ]
    names = ("started (UTC)", "call", "user", "in the room")
    return table(names, rows, width=width, wraps=("user", "in the room"))
