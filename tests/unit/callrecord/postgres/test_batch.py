"""Folding: one row an id, the newest version, in the order of the turns."""

import json
from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from callrecord.events import Unhandled, new_id
from callrecord.postgres.batch import NAME_LIMIT, fit_name, to_json
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started, usage


def folded(*events: Any) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = json.loads(to_json([batch(started(), *events)]))
    return rows


def test_the_newest_version_of_a_row_wins_at_its_first_place() -> None:
    first, second = new_id(), new_id()
    rows = folded(
        message("a", id=first), message("b", id=second), message("a, corrected", id=first)
    )["messages"]
    assert [(row["content"], row["revision"]) for row in rows] == [("a, corrected", 5), ("b", 4)]
    assert [row["place"] for row in rows] == [0, 1]


def test_each_kind_of_row_is_folded_by_itself() -> None:
    id_ = uuid4()
    rows = folded(message(id=id_), leg(id=id_), usage(id=id_), usage(4, id=id_))
    assert [len(rows[kind]) for kind in ("calls", "legs", "messages", "usage")] == [1, 1, 1, 1]
    assert rows["usage"][0]["total_tokens"] == 4


def test_a_call_has_its_first_connect_its_last_end_and_no_raw_events() -> None:
    raw = Unhandled(at=at(0), source="x", error="y", raw="z")
    rows = folded(connected(2), raw, connected(9), ended("error", 10), ended("silence", 20, by=1))
    (call,) = rows["calls"]
    assert call["connected_at"] == "2026-03-01T12:00:02Z"
    assert (call["end_reason"], call["end_status"]) == ("silence", "completed")
    assert call["end_detail"] == {"by": 1}
    assert rows["messages"] == []


def test_calls_stand_in_the_same_order_in_every_batch() -> None:
    calls = [batch(started(room_sid=f"RM_{n % 3}")) for n in range(9)]
    assert to_json(calls) == to_json(calls[::-1])


def test_calls_without_a_rooms_sid_are_not_one_call() -> None:
    calls = json.loads(to_json([batch(started(room_sid="")) for _ in range(2)]))["calls"]
    assert len({call["room_sid"] for call in calls}) == 2
    assert all(call["room_sid"] for call in calls)


def test_a_call_id_that_is_no_uuid_is_kept_in_the_metadata() -> None:
    header = started(call_id="Room 101", metadata={"a": 1})
    (call,) = json.loads(to_json([batch(header)]))["calls"]
    assert call["call_id"] is None
    assert call["metadata"] == {"a": 1, "callId": "Room 101"}


@given(st.text(max_size=600), st.text(max_size=600))
def test_names_fit_and_stay_apart(one: str, other: str) -> None:
    assert len(fit_name(one)) <= NAME_LIMIT
    assert (fit_name(one) == fit_name(other)) == (one == other)


def test_halves_are_the_whole_in_order() -> None:
    whole = batch(started(), *(message(str(n)) for n in range(5)))
    first, second = whole.halves()
    assert first.entries + second.entries == whole.entries
    assert first.entries
    assert first.header == second.header == whole.header
