"""Latencies that cannot be true are kept apart, and none is lost."""

from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import ChatMessage

from callrecord.events import Message, new_id, now
from callrecord.recording.conversation.messages import (
    LONGEST_MS,
    PARTS,
    WHOLE,
    committed,
    plausible,
)


@given(st.dictionaries(st.text(max_size=3), st.none() | st.integers(-(10**6), 10**6)))
def test_each_value_is_in_its_column_or_kept_raw(told: dict[str, int | None]) -> None:
    kept, metadata = plausible(told)
    wrong = metadata.get("implausible", {})
    assert {name: wrong.get(name, value) for name, value in kept.items()} == told
    assert all(value is None or 0 <= value <= LONGEST_MS for value in kept.values())
    assert all(kept[name] is None for name in wrong)


@given(
    told=st.dictionaries(st.sampled_from([WHOLE, *PARTS]), st.integers(-10, 70_000)),
    ahead=st.booleans(),
)
def test_no_part_is_longer_than_the_whole(told: dict[str, int | None], *, ahead: bool) -> None:
    kept, metadata = plausible(told, ahead=ahead)
    wrong = metadata.get("implausible", {})
    assert {name: wrong.get(name, value) for name, value in kept.items()} == told
    whole = kept.get(WHOLE)
    if whole is not None and not ahead:
        assert all((kept.get(part) or 0) <= whole for part in PARTS)
    if wrong.keys() == {WHOLE} and 0 <= wrong[WHOLE] <= LONGEST_MS:
        raise AssertionError("left out, and nothing contradicts it")


def test_a_reply_made_ahead_may_have_longer_parts() -> None:
    """Begun while the caller still spoke, its first token has taken longer than he has waited."""
    item = ChatMessage(role="assistant", content=["Yes."])
    item.metrics = {"started_speaking_at": 100.0, "e2e_latency": 0.5, "llm_node_ttft": 0.75}
    blank = Message(id=new_id(), role="assistant", content="", at=now())
    ahead, after = committed(blank, item, began=99.25), committed(blank, item, began=99.625)
    assert (ahead.e2e_latency_ms, ahead.llm_ttft_ms, ahead.metadata) == (500, 750, {})
    assert (after.e2e_latency_ms, after.llm_ttft_ms) == (None, None)
    assert after.metadata["implausible"] == {"e2e_latency_ms": 500, "llm_ttft_ms": 750}


def test_203_seconds_are_no_latency() -> None:
    item = ChatMessage(role="assistant", content=["Yes."])
    item.metrics = {
        "e2e_latency": 203.4,
        "llm_node_ttft": 0.25,
        "llm_node_ttfs": 0.4,
        "tts_node_ttfb": 0.125,
        "playback_latency": 0.01,
    }
    message = committed(Message(id=new_id(), role="assistant", content="", at=now()), item)
    assert message.e2e_latency_ms is None
    assert message.metadata == {"implausible": {"e2e_latency_ms": 203400}}
    chain = (message.llm_ttft_ms, message.first_sentence_ms, message.tts_ttfb_ms)
    assert (*chain, message.playout_delay_ms) == (250, 400, 125, 10)
