"""Latencies that cannot be true are kept apart, and none is lost."""

from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import ChatMessage

from callrecord.db.events import Message, new_id, now
from callrecord.recording.messages import committed
from callrecord.recording.plausible import LONGEST_MS, plausible


@given(st.dictionaries(st.text(max_size=3), st.none() | st.integers(-(10**6), 10**6)))
def test_each_value_is_in_its_column_or_kept_raw(told: dict[str, int | None]) -> None:
    kept, metadata = plausible(told)
    wrong = metadata.get("implausible", {})
    assert {name: wrong.get(name, value) for name, value in kept.items()} == told
    assert all(value is None or 0 <= value <= LONGEST_MS for value in kept.values())
    assert all(kept[name] is None for name in wrong)


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
