"""Tables for people, drawn from rows such as Postgres gives them."""

import io
from datetime import UTC, datetime
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from local.demo import tables
from local.demo.rows import Row

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def _drawn(table: Table) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _message(**columns: object) -> Row:
    row: Row = {
        "sequence_number": 1,
        "role": "assistant",
        "content": "Hello.",
        "tokens_used": 0,
        "e2e_latency_ms": None,
        "interrupted": False,
    }
    return row | columns


def _request(**columns: object) -> Row:
    row: Row = {
        "kind": "llm",
        "model": "small",
        "input_tokens": 10,
        "cached_input_tokens": 0,
        "output_tokens": 2,
        "audio_ms": None,
        "characters": None,
        "cancelled": False,
        "estimated": False,
        "cost": Decimal("0.5"),
    }
    return row | columns


def test_a_message_shows_its_tokens_latency_and_interruption() -> None:
    drawn = _drawn(
        tables.messages_table([_message(tokens_used=42, e2e_latency_ms=1234, interrupted=True)])
    )
    for text in ("Hello.", "assistant", "42", "1.23 s", "yes"):
        assert text in drawn


def test_what_was_said_is_not_taken_for_markup() -> None:
    assert "[bold]no[/bold]" in _drawn(tables.messages_table([_message(content="[bold]no[/bold]")]))


def test_usage_is_summed_over_the_requests_of_a_model() -> None:
    usage = [_request(), _request(cancelled=True), _request(kind="tts", characters=7)]
    lines = _drawn(tables.usage_table(usage)).splitlines()
    (llm,) = (line for line in lines if "llm" in line)
    for text in ("small", "2 (1 cancelled)", "20", "4", "1.0"):
        assert text in llm
    assert any("tts" in line and "7" in line for line in lines)


def test_a_sum_with_an_unknown_price_is_unknown() -> None:
    line = _drawn(tables.usage_table([_request(), _request(cost=None)]))
    assert "0.5" not in line


def test_a_leg_shows_when_it_began_and_how_it_ended() -> None:
    leg = {
        "participant_name": None,
        "participant_identity": "agent-with-a-very-long-identity",
        "participant_type": "agent",
        "joined_at": AT,
        "left_at": None,
        "duration_seconds": None,
        "disconnect_reason": "room_deleted",
    }
    drawn = _drawn(tables.participants_table([leg]))
    assert "03:04:05.678" in drawn
    assert "room_deleted" in drawn
    assert "agent-with-a-very-long-identity" not in drawn


def test_the_call_shows_unknown_values_as_a_dash() -> None:
    drawn = _drawn(tables.call_table({"status": "completed", "cost": None}))
    assert "completed" in drawn
    (cost,) = (line for line in drawn.splitlines() if "cost" in line)
    assert cost.split() == ["cost", "-"]
