"""Renders the rows of a call as tables; times of day are UTC."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from local.demo.rows import Row, Rows

_NAME: Final = 20


def draw(rows: Rows, console: Console) -> None:
    """Print all tables of a call."""
    console.print(call_table(rows.call))
    console.print(participants_table(rows.participants))
    console.print(messages_table(rows.messages))
    console.print(usage_table(rows.usage))


def call_table(call: Row) -> Table:
    """Return the call's row, with one line per column."""
    table = _table("voice_calls", "column", "value")
    table.show_header = False
    names = (
        "id",
        "session_id",
        "room_name",
        "room_sid",
        "user_id",
        "status",
        "end_reason",
        "started_at",
        "connected_at",
        "ended_at",
        "duration_seconds",
        "agent_identity",
        "total_tokens_used",
        "usage_complete",
        "cost",
    )
    for name in names:
        table.add_row(name, _text(call.get(name)))
    return table


def participants_table(participants: Iterable[Row]) -> Table:
    """Return the legs, with one line for each time a participant joined."""
    table = _table("call_participants", "who", "type", "joined", "left", "seconds", "why it left")
    for leg in participants:
        _add(
            table,
            leg["participant_name"] or _short(leg["participant_identity"]),
            leg["participant_type"],
            leg["joined_at"],
            leg["left_at"],
            leg["duration_seconds"],
            leg["disconnect_reason"],
        )
    return table


def messages_table(messages: Iterable[Row]) -> Table:
    """Return the turns; the latency is from the caller's last word to the first sound."""
    table = _table("voice_messages", "#", "role", "content", "tokens", "latency", "interrupted")
    for message in messages:
        latency_ms = message["e2e_latency_ms"]
        _add(
            table,
            message["sequence_number"],
            message["role"],
            message["content"],
            message["tokens_used"] or None,
            None if latency_ms is None else f"{latency_ms / 1000:.2f} s",
            "yes" if message["interrupted"] else None,
        )
    return table


def usage_table(usage: Iterable[Row]) -> Table:
    """Return the requests to models, summed over each kind and model.

    It also counts cancelled and estimated requests, and cached tokens.
    """
    table = _table(
        "voice_usage",
        "kind",
        "model",
        "requests",
        "tokens in",
        "tokens out",
        "audio",
        "chars",
        "cost",
    )
    groups: dict[tuple[str, str], list[Row]] = {}
    for request in usage:
        groups.setdefault((request["kind"], request["model"] or ""), []).append(request)
    for (kind, model), requests in sorted(groups.items()):
        audio_ms = _sum(requests, "audio_ms")
        _add(
            table,
            kind,
            model,
            _with(
                len(requests),
                cancelled=_sum(requests, "cancelled"),
                est=_sum(requests, "estimated"),
            ),
            _with(_sum(requests, "input_tokens"), cached=_sum(requests, "cached_input_tokens")),
            _sum(requests, "output_tokens") or None,
            f"{audio_ms / 1000:.1f} s" if audio_ms else None,
            _sum(requests, "characters") or None,
            _cost(requests),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *values: Any) -> None:
    table.add_row(*(_text(value) for value in values))


def _text(value: Any) -> Text:
    """Return a cell; brackets in spoken words are not markup."""
    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, datetime):
        return Text(value.strftime("%H:%M:%S.%f")[:-3])
    return Text(str(value))


def _short(identity: str) -> str:
    """Return an identity cut to the width of a name; the JSON has all of it."""
    return identity if len(identity) <= _NAME else f"{identity[: _NAME - 1]}…"


def _sum(rows: Iterable[Row], column: str) -> int:
    return sum(int(row[column] or 0) for row in rows)


def _with(number: int, **parts: int) -> str | None:
    """Return a number and those of its parts that are not 0, such as `3 (1 cancelled)`."""
    detail = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
    return None if not number else f"{number} ({detail})" if detail else str(number)


def _cost(rows: list[Row]) -> Any:
    """Return the sum, or None if the price of any is unknown."""
    costs = [row["cost"] for row in rows]
    return None if None in costs else sum(costs)
