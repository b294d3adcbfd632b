"""What a caller has said when the call ends; with real speech in tests/faults/rooms."""

import asyncio
from typing import Any

import pytest
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    AgentSession,
    APIConnectOptions,
    ChatMessage,
    MetricsCollectedEvent,
    UserInputTranscribedEvent,
    stt,
)
from livekit.agents.metrics import STTMetrics

from callrecord.events import now
from callrecord.recording.conversation import last_utterance
from callrecord.recording.conversation.last_utterance import WAIT_S, LastUtterance
from tests.unit.callrecord.recording.outbox import Outbox
from tests.waiting import until

OWN_S = 0.05


class Ear(stt.STT[Any]):
    """Speech to text by whole utterances, whose transcripts the test tells."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))

    async def _recognize_impl(
        self,
        buffer: Any,
        *,
        language: Any = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        raise NotImplementedError


@pytest.fixture
async def session() -> AgentSession[None]:
    return AgentSession(stt=Ear(), session_close_transcript_timeout=OWN_S)


@pytest.fixture
async def utterance(outbox: Outbox, session: AgentSession[None]) -> LastUtterance:
    return outbox.recorder.attach_session(session)


def say(session: AgentSession[None]) -> None:
    """Speak, and be silent."""
    session._update_user_state("speaking")
    session._update_user_state("listening")


def tell(session: AgentSession[None], transcript: str, *, is_final: bool = True) -> None:
    event = UserInputTranscribedEvent(transcript=transcript, is_final=is_final)
    session.emit("user_input_transcribed", event)


def commit(session: AgentSession[None], text: str, *, confidence: float | None = 0.9) -> None:
    item = ChatMessage(role="user", content=[text], transcript_confidence=confidence)
    session._conversation_item_added(item)


def wait_of(session: AgentSession[None]) -> float:
    return session.options.session_close_transcript_timeout


async def test_a_close_waits_longer_only_while_words_have_no_transcript(
    session: AgentSession[None], utterance: LastUtterance
) -> None:
    assert (utterance.pending, wait_of(session)) == (False, OWN_S)
    session._update_user_state("speaking")
    assert (utterance.pending, wait_of(session)) == (True, WAIT_S)
    session._update_user_state("listening")
    assert (utterance.pending, wait_of(session)) == (True, WAIT_S)
    tell(session, "Hello.")
    assert (utterance.pending, wait_of(session)) == (False, OWN_S)
    tell(session, "I wou", is_final=False)
    assert (utterance.pending, wait_of(session)) == (True, WAIT_S)


async def test_two_parts_need_two_transcripts(
    session: AgentSession[None], utterance: LastUtterance
) -> None:
    say(session)
    say(session)
    tell(session, "One.")
    assert utterance.pending
    tell(session, "Two.")
    assert not utterance.pending


async def test_a_cough_is_waited_for_no_longer_than_its_request(
    session: AgentSession[None], utterance: LastUtterance
) -> None:
    say(session)
    metrics = STTMetrics(
        label="stt", request_id="r", timestamp=1.0, duration=0.2, audio_duration=2.0, streamed=False
    )
    session.emit("metrics_collected", MetricsCollectedEvent(metrics=metrics))
    await until(lambda: not utterance.pending, timeout_s=5, what="the cough to be passed over")
    assert wait_of(session) == OWN_S


async def test_speech_that_nothing_tells_of_is_forgotten(
    session: AgentSession[None], utterance: LastUtterance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_utterance, "FORGOTTEN_S", 0.05)
    say(session)
    assert wait_of(session) == WAIT_S
    await until(lambda: wait_of(session) == OWN_S, timeout_s=5, what="the usual wait")
    assert not utterance.pending


async def test_typed_text_has_no_transcript(
    session: AgentSession[None], utterance: LastUtterance
) -> None:
    say(session)  # so LiveKit's claim of a user's turn looks
    commit(session, "Typed.", confidence=None)
    assert not utterance.pending


async def test_an_earlier_part_is_waited_for_and_the_last_left_to_livekit(
    session: AgentSession[None], utterance: LastUtterance
) -> None:
    say(session)
    session._update_user_state("speaking")
    waiting = asyncio.create_task(utterance.heard_out())
    await until(lambda: session.user_state == "listening", what="the audio to be cut")
    assert not waiting.done()
    tell(session, "The earlier part.")
    await asyncio.wait_for(waiting, WAIT_S)
    assert utterance.pending
    # LiveKit has the rest of the wait, not another one of that length.
    assert 0 < wait_of(session) < WAIT_S


async def test_the_wait_has_an_end(
    session: AgentSession[None], utterance: LastUtterance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_utterance, "WAIT_S", 0.05)
    say(session)
    say(session)
    await asyncio.wait_for(utterance.heard_out(), 5)
    assert utterance.pending


async def test_a_turn_cut_by_the_end_is_marked(
    outbox: Outbox, session: AgentSession[None], utterance: LastUtterance
) -> None:
    """And one that the caller goes on with after a rejoin is not."""
    session._update_user_state("speaking")
    utterance.end()
    utterance.resume()
    tell(session, "I am back.")
    commit(session, "I am back.")
    outbox.recorder.turns.of_caller.left("somebody else")
    assert not utterance.cut
    outbox.recorder._left(None)
    tell(session, "I would like")
    commit(session, "I would like")
    assert [turn.interrupted for turn in outbox.messages()] == [False, True]


@pytest.mark.usefixtures("utterance")
async def test_what_is_never_committed_is_marked_at_the_end(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    tell(session, "I would like")
    outbox.recorder.finish("caller_hangup", now(), {})
    (turn,) = outbox.messages()
    assert (turn.content, turn.interrupted, turn.metadata) == (
        "I would like",
        True,
        {"final": False},
    )


@pytest.fixture
def linked(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who is listened to: the last of the list."""
    people = ["ada"]
    speakers = outbox.recorder.turns.of_caller._speakers
    monkeypatch.setattr(speakers, "listened_to", lambda: people[-1])
    monkeypatch.setattr(
        outbox.recorder.turns.of_caller.utterance, "_listened_to", lambda: people[-1]
    )
    return people


@pytest.mark.usefixtures("utterance")
async def test_words_are_of_who_was_listened_to_while_they_were_said(
    outbox: Outbox, session: AgentSession[None], linked: list[str]
) -> None:
    """Ada leaves before her transcript comes, and Bob is silent; then both talk by turns."""
    say(session)
    linked.append("bob")
    tell(session, "I am Ada.")
    commit(session, "I am Ada.")
    say(session)
    linked.append("ada")
    say(session)
    for words in ("I am Bob.", "And I am back."):
        tell(session, words)
        commit(session, words)
    said = [(each.participant_identity, each.content) for each in outbox.messages()]
    assert said == [("ada", "I am Ada."), ("bob", "I am Bob."), ("ada", "And I am back.")]


@pytest.mark.usefixtures("utterance")
async def test_words_told_while_they_are_said_are_the_speakers(
    outbox: Outbox, session: AgentSession[None], linked: list[str]
) -> None:
    session._update_user_state("speaking")
    linked.append("bob")
    tell(session, "I am Ada, and")
    (draft,) = outbox.messages()
    assert draft.participant_identity == "ada"


@pytest.mark.usefixtures("utterance")
async def test_speech_whose_times_livekit_does_not_tell_has_those_of_its_parts(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    """As with a realtime model, which tells at most when a turn began."""
    say(session)
    tell(session, "Hello?")
    commit(session, "Hello?")
    (turn,) = outbox.messages()
    assert turn.speech_started_at is not None
    assert turn.speech_ended_at is not None
    assert turn.speech_started_at <= turn.speech_ended_at <= now()
