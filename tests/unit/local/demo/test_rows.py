"""What the demo asks of the rows, and how it writes them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from local.demo.rows import Row, Rows

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = UUID("01a205b4-a3c4-7071-ac5c-8ec70d955d6a")


def _rows() -> Rows:
    call: Row = {
        "id": ID,
        "status": "completed",
        "ended_at": AT,
        "total_tokens_used": 9,
        "cost": Decimal("0.25"),
    }
    legs = [{"participant_type": kind, "left_at": AT} for kind in ("agent", "user")]
    messages = [
        {"role": role, "interrupted": number == 1 and role == "assistant"}
        for number in range(3)
        for role in ("user", "assistant")
    ]
    return Rows(call, legs, messages, [{"kind": "llm"}])


def test_a_whole_conversation_misses_nothing() -> None:
    assert _rows().missing() == []


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("status", "failed", "status is failed, not completed"),
        ("ended_at", None, "ended_at is not set"),
        ("total_tokens_used", 0, "no tokens were counted"),
    ],
)
def test_a_wrong_column_of_the_call_is_told(column: str, value: object, told: str) -> None:
    rows = _rows()
    rows.call[column] = value
    assert rows.missing() == [told]


def test_missing_rows_are_told() -> None:
    rows = _rows()
    empty = Rows(rows.call, [], rows.messages[:4], [])
    assert empty.missing() == [
        "no caller's leg with its end",
        "no leg of the agent",
        "no request to a model",
        "2 turns of role user, not 3 or more",
        "2 turns of role assistant, not 3 or more",
    ]


def test_json_has_the_column_names_iso_times_and_ids_as_text() -> None:
    document = json.loads(_rows().as_json())
    assert list(document) == ["call", "participants", "messages", "usage"]
    assert document["call"]["id"] == str(ID)
    assert document["call"]["ended_at"] == "2026-01-02T03:04:05+00:00"
    assert document["call"]["cost"] == 0.25
