"""The ledger: LiveKit's metrics as requests, joined to messages."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.metrics import (
    EOUMetrics,
    RealtimeModelMetrics,
    STTMetrics,
    TTSMetrics,
    VADMetrics,
)
from livekit.agents.metrics.base import (
    DecisionMetrics,
    EOTInferenceMetrics,
    InterruptionMetrics,
)
from msgspec.structs import replace

from callrecord.events import Event, Message, Usage, new_id
from callrecord.recording.usage.framework_metrics import usage_of
from callrecord.recording.usage.ledger import HEARD, Ledger
from tests.unit.callrecord.recording.told import AT, SOURCE, llm


class Book:
    """A ledger and what it appended."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ledger = Ledger(self.events.append)

    def collect(self, metrics: Any) -> None:
        """Book what LiveKit tells of a request."""
        usage = usage_of(metrics)
        assert usage is not None
        self.ledger.add(usage, waits_for=HEARD if usage.kind == "stt" else None)

    def assign(self, speech_id: str, message_id: UUID) -> int:
        """Give a speech's requests to a message; return the message's tokens."""
        self.ledger.settle(speech_id, said(message_id))
        return self.ledger.tokens(message_id)

    def usage(self) -> list[Usage]:
        """Return the newest version of each request."""
        found = [event for event in self.events if isinstance(event, Usage)]
        return list({usage.id: usage for usage in found}.values())


def said(message_id: UUID) -> Message:
    """Return a message as it is first recorded."""
    return Message(id=message_id, role="assistant", content="Yes.", at=AT)


@pytest.fixture
def book() -> Book:
    """A fresh ledger."""
    return Book()


def test_a_language_model_request_is_kept_whole(book: Book) -> None:
    book.collect(llm())
    (usage,) = book.usage()
    assert (usage.kind, usage.at, usage.provider, usage.model) == ("llm", AT, "acme", "m-1")
    assert (usage.input_tokens, usage.cached_input_tokens) == (30, 20)
    assert (usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == (7, 2, 37)
    assert (usage.duration_ms, usage.ttft_ms, usage.request_id) == (1250, 500, "req_1")
    assert usage.message_id is None


def test_a_request_without_output_has_no_first_token(book: Book) -> None:
    book.collect(llm(ttft=-1.0, cancelled=True, completion_tokens=0))
    (usage,) = book.usage()
    assert usage.ttft_ms is None
    assert usage.cancelled


def test_tokens_written_to_a_cache_are_noted(book: Book) -> None:
    book.collect(llm(cache_creation_tokens=12))
    assert book.usage()[0].cache_creation_tokens == 12


def test_requests_go_to_the_message_of_their_speech(book: Book) -> None:
    first, second = new_id(), new_id()
    book.collect(llm("speech_1"))
    book.collect(llm("speech_2"))
    book.collect(_tts("speech_1"))
    assert book.assign("speech_1", first) == 37
    assert book.assign("speech_2", second) == 37
    assert [usage.message_id for usage in book.usage()] == [first, second, first]


def test_a_request_is_assigned_once(book: Book) -> None:
    book.collect(llm("speech_1"))
    assert book.assign("speech_1", new_id()) == 37
    appended = len(book.events)
    assert book.assign("speech_1", new_id()) == 0
    assert len(book.events) == appended


def test_a_discarded_reply_stays_without_a_message(book: Book) -> None:
    """It was billed all the same: it is the call's, not a message's."""
    book.collect(llm("speech_discarded"))
    book.assign("speech_1", new_id())
    assert [usage.message_id for usage in book.usage()] == [None]


def test_speech_models_cost_no_language_tokens(book: Book) -> None:
    heard, said = new_id(), new_id()
    book.collect(_stt())
    book.collect(_tts("speech_1"))
    assert book.assign(HEARD, heard) == 0
    assert book.assign("speech_1", said) == 0
    stt, tts = book.usage()
    assert (stt.kind, stt.audio_ms, stt.total_tokens, stt.message_id) == ("stt", 2500, 9, heard)
    assert (tts.kind, tts.characters, tts.audio_ms, tts.ttft_ms) == ("tts", 42, 3000, 200)
    assert tts.message_id == said


def test_a_realtime_model_is_a_request_of_the_call(book: Book) -> None:
    metrics = RealtimeModelMetrics(
        label="rt",
        request_id="resp_1",
        timestamp=AT.timestamp(),
        duration=2.0,
        ttft=0.3,
        cancelled=False,
        input_tokens=11,
        output_tokens=5,
        total_tokens=16,
        tokens_per_second=2.5,
        input_token_details=RealtimeModelMetrics.InputTokenDetails(cached_tokens=4),
        output_token_details=RealtimeModelMetrics.OutputTokenDetails(),
    )
    book.collect(metrics)
    (usage,) = book.usage()
    assert (usage.kind, usage.cached_input_tokens, usage.total_tokens) == ("realtime", 4, 16)


@pytest.mark.parametrize(
    "metrics",
    [
        VADMetrics(
            label="vad", timestamp=1.0, idle_time=0.0, inference_duration_total=0, inference_count=1
        ),
        EOUMetrics(
            timestamp=1.0,
            end_of_utterance_delay=0.1,
            transcription_delay=0.1,
            on_user_turn_completed_delay=0.1,
        ),
    ],
)
def test_what_costs_nothing_is_not_kept(metrics: VADMetrics | EOUMetrics) -> None:
    assert usage_of(metrics) is None


def test_later_kinds_are_requests_too(book: Book) -> None:
    """Of models outside; those that run in the worker tell nothing of this sort."""
    common: dict[str, Any] = {"timestamp": AT.timestamp(), "metadata": SOURCE}
    delays: dict[str, Any] = {
        "total_duration": 0.2,
        "prediction_duration": 0.1,
        "detection_delay": 0.3,
    }
    book.collect(EOTInferenceMetrics(**common, **delays))
    counts: dict[str, Any] = {"num_interruptions": 1, "num_backchannels": 0, "num_requests": 3}
    book.collect(InterruptionMetrics(**common, **delays, **counts))
    book.collect(
        DecisionMetrics(label="d", request_id="d-1", duration=0.4, input_tokens=7, **common)
    )
    assert [
        (each.kind, each.model, each.total_tokens, each.metadata.get("requests"))
        for each in book.usage()
    ] == [("eot", "m-1", 0, 1), ("interruption", "m-1", 0, 3), ("decision", "m-1", 7, None)]
    assert usage_of(InterruptionMetrics(**common, **delays, **counts | {"num_requests": 0})) is None


def test_a_connection_is_a_request_where_its_time_is_billed(book: Book) -> None:
    """As some realtime models do; opening one costs nothing."""
    told: dict[str, Any] = {
        "request_id": "",
        "timestamp": AT.timestamp(),
        "input_token_details": RealtimeModelMetrics.InputTokenDetails(),
        "output_token_details": RealtimeModelMetrics.OutputTokenDetails(),
    }
    assert usage_of(RealtimeModelMetrics(**told, acquire_time=0.1)) is None
    book.collect(RealtimeModelMetrics(**told, session_duration=12.5))
    (usage,) = book.usage()
    assert (usage.kind, usage.request_id, usage.total_tokens) == ("realtime", None, 0)
    assert usage.metadata == {"session_ms": 12_500}


def _stt() -> STTMetrics:
    return STTMetrics(
        label="stt",
        request_id="",
        timestamp=AT.timestamp(),
        duration=0.4,
        audio_duration=2.5,
        streamed=False,
        input_tokens=6,
        output_tokens=3,
    )


def _tts(speech_id: str) -> TTSMetrics:
    return TTSMetrics(
        label="tts",
        request_id="req_2",
        timestamp=AT.timestamp(),
        ttfb=0.2,
        duration=0.6,
        audio_duration=3.0,
        cancelled=False,
        characters_count=42,
        streamed=True,
        speech_id=speech_id,
    )


def test_a_response_goes_to_the_message_that_names_it(book: Book) -> None:
    """Also when the speech that went on as it ended had it first."""
    first, second = new_id(), new_id()
    usage = Usage(id=new_id(), kind="realtime", at=AT, request_id="resp_1", total_tokens=5)
    book.ledger.add(usage, waits_for="speech_1")
    assert book.assign("speech_1", first) == 5
    book.ledger.answer(["resp_1"], said(second))
    tokens = {each.id: each.tokens for each in book.events if isinstance(each, Message)}
    assert tokens == {first: 0, second: 5}
    assert (book.ledger.tokens(first), book.ledger.tokens(second)) == (0, 5)
    assert book.usage()[0].message_id == second


@given(st.data())
def test_any_history_leaves_each_request_once_with_its_message(data: st.DataObject) -> None:
    """However requests, their later versions, turns and discards come: nothing twice or missing."""
    book = Book()
    requests: dict[UUID, Usage] = {}
    messages: dict[UUID, str] = {}
    for _ in range(data.draw(st.integers(1, 25))):
        speech = data.draw(st.sampled_from(["a", "b", "c"]))
        match data.draw(st.sampled_from(["begin", "again", "assign", "discard"])):
            case "begin":
                usage = Usage(id=new_id(), kind="llm", at=AT, speech_id=speech, total_tokens=1)
                requests[usage.id] = usage
                book.ledger.add(usage, ("a", "b", "c"))
            case "again" if requests:
                old = data.draw(st.sampled_from(sorted(requests.values(), key=lambda u: u.id)))
                usage = replace(old, total_tokens=data.draw(st.integers(0, 99)))
                requests[usage.id] = usage
                book.ledger.add(usage, ("a", "b", "c"))
            case "assign":
                message = new_id()
                messages[message] = speech
                book.ledger.settle(speech, said(message))
            case "discard":
                book.ledger.discard(speech)
    booked = {usage.id: usage for usage in book.usage()}
    assert {id_: u.total_tokens for id_, u in booked.items()} == {
        id_: u.total_tokens for id_, u in requests.items()
    }
    for message, speech in messages.items():
        own = [usage for usage in booked.values() if usage.message_id == message]
        assert all(usage.speech_id == speech for usage in own)
        assert book.ledger.tokens(message) == sum(usage.total_tokens for usage in own)
    nobodys = [u for u in booked.values() if u.message_id is None]
    total = sum(book.ledger.tokens(each) for each in messages)
    assert total + sum(u.total_tokens for u in nobodys) == sum(
        u.total_tokens for u in requests.values()
    )


def test_a_placeholder_is_no_id_of_a_request(book: Book) -> None:
    """LiveKit's word where a speech model gives none."""
    book.collect(llm(request_id="unknown"))
    book.collect(llm(request_id="req_2"))
    book.assign("speech_1", new_id())
    ids = [event.request_id for event in book.events if isinstance(event, Usage)]
    assert ids == [None, "req_2", None, "req_2"]
