"""Events as JSON: whatever they hold, Postgres can take them."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrecord.events import (
    COMPLETED,
    FAILED,
    LATENCIES,
    STRING_LIMIT,
    Message,
    decode,
    encode,
    new_id,
    status_of,
)
from callrecord.recording.conversation import messages
from callrecord.rows import Message as RowOfMessage
from tests.unit.callrecord.calls import at, connected, ended, leg, message, started, usage

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@pytest.mark.parametrize(
    "event", [started(), connected(), ended(by="x"), leg(), message(), usage(3, ttft_ms=4)]
)
def test_an_event_comes_back_as_it_was(event: Message) -> None:
    assert decode(encode(event)) == event


@given(content=ANY_TEXT, key=ANY_TEXT, value=ANY_TEXT)
def test_any_text_becomes_what_postgres_can_hold(content: str, key: str, value: str) -> None:
    data = encode(message(content, metadata={key: [value, {value: 1}]}))
    assert b"\n" not in data
    text = json.dumps(json.loads(data), ensure_ascii=False)
    text.encode()  # no lone surrogate
    assert "\\u0000" not in text
    event = decode(data)
    assert isinstance(event, Message)
    pairs = content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert event.content == pairs.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_a_long_string_is_cut_once_with_a_mark_and_the_others_are_not() -> None:
    """The mark tells the true length, however often the event is encoded."""
    mark = "\N{REPLACEMENT CHARACTER} [cut: 1000000 characters]"
    once = encode(message("x" * 1_000_000, metadata={"a": "y" * STRING_LIMIT}))
    event = decode(encode(decode(once)))
    assert isinstance(event, Message)
    assert event.content == "x" * (STRING_LIMIT - len(mark)) + mark
    assert event.metadata["a"] == "y" * STRING_LIMIT


def test_what_json_lacks_is_kept_as_text() -> None:
    event = decode(encode(message("\ud800", metadata={"path": Path("here"), "nan": float("nan")})))
    assert isinstance(event, Message)
    assert event.metadata == {"path": repr(Path("here")), "nan": None}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"type":"other"}', b'{"type":"call_ended"}', b'{"type":"\xff"}']
)
def test_what_is_no_event_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)


def test_every_reason_has_its_status_and_an_unknown_one_has_failed() -> None:
    assert {status_of(reason) for reason in COMPLETED} == {"completed"}
    assert {status_of(reason) for reason in (*FAILED, "never heard of")} == {"failed"}


def test_ids_grow_with_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {id_.version for id_ in ids} == {7}
    assert at(1) > at(0)


def test_the_latencies_are_fields_of_a_turn_and_columns() -> None:
    for names in (Message.__struct_fields__, tuple(RowOfMessage.__dataclass_fields__)):
        assert set(LATENCIES) < set(names)
        assert {name for name in names if name.endswith("_ms")} == {*LATENCIES, "audio_duration_ms"}
    assert tuple(messages._LATENCIES) == LATENCIES
    assert set(messages.PARTS) < set(LATENCIES)
