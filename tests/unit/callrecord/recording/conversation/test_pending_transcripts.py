"""What the caller said, as LiveKit's transcripts and turns tell it, in any order."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import (
    AgentSession,
    ChatMessage,
    MetricsCollectedEvent,
    UserInputTranscribedEvent,
)
from livekit.agents.metrics import STTMetrics

from callrecord.events import now
from callrecord.recording.conversation.messages import SENDER
from callrecord.recording.conversation.pending_transcripts import (
    PendingTranscripts,
    Piece,
    speaker_of,
    text_of,
)
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply


def hear(session: AgentSession[None], *transcripts: str) -> None:
    """Emit final transcripts as the session does."""
    for transcript in transcripts:
        event = UserInputTranscribedEvent(transcript=transcript, is_final=True)
        session.emit("user_input_transcribed", event)


def commit(session: AgentSession[None], text: str, *, confidence: float | None = 0.9) -> None:
    """Commit a user's turn as the session does."""
    item = ChatMessage(role="user", content=[text], transcript_confidence=confidence)
    session._conversation_item_added(item)


def final(outbox: Outbox) -> dict[str, bool]:
    """Return each message's text, and whether LiveKit has committed it."""
    return {message.content: message.metadata.get("final", True) for message in outbox.messages()}


async def test_a_turn_is_recorded_before_it_is_committed(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    hear(session, "I would like", "a table.")
    (draft,) = outbox.messages()
    assert (draft.content, draft.metadata) == ("I would like a table.", {"final": False})
    commit(session, "I would like a table.")
    (turn,) = outbox.messages()
    assert (turn.id, turn.metadata) == (draft.id, {})


async def test_interim_and_empty_transcripts_are_no_turn(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    event = UserInputTranscribedEvent(transcript="I wou", is_final=False)
    session.emit("user_input_transcribed", event)
    hear(session, "  ")
    assert outbox.messages() == []


async def test_words_heard_before_a_late_commit_stay_a_turn(outbox: Outbox, talk: Talk) -> None:
    """The caller talks on while LiveKit still commits the turn before: two turns, none twice."""
    session = await talk()
    hear(session, "Book a table.", "For two.")
    commit(session, "Book a table.")
    assert final(outbox) == {"Book a table.": True, "For two.": False}
    hear(session, "Please.")
    commit(session, "For two. Please.")
    assert final(outbox) == {"Book a table.": True, "For two. Please.": True}


async def test_dropped_words_stay_though_a_later_turn_contains_them(
    outbox: Outbox, talk: Talk
) -> None:
    """What LiveKit never commits is kept, even where a longer word looks the same."""
    session = await talk()
    hear(session, "No", "I know that.")
    commit(session, "I know that.")
    assert final(outbox) == {"No": True, "I know that.": True}
    assert outbox.messages()[0].metadata == {"passed_over": True}


async def test_typed_text_leaves_spoken_words_alone(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    hear(session, "My number is")
    session.emit("metrics_collected", _stt_event())
    commit(session, "0451 1234", confidence=None)
    hear(session, "in the chat.")
    commit(session, "My number is in the chat.")
    assert final(outbox) == {"0451 1234": True, "My number is in the chat.": True}
    spoken = next(each for each in outbox.messages() if each.content.startswith("My"))
    assert [usage.message_id for usage in outbox.usage()] == [spoken.id]


async def test_an_edited_turn_keeps_what_was_heard(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    hear(session, "My card is one two three.")
    commit(session, "My card is [number].")
    (turn,) = outbox.messages()
    assert turn.content == "My card is [number]."
    assert turn.metadata == {"heard": "My card is one two three."}


async def test_a_turn_nobody_heard_is_recorded(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    commit(session, "From a realtime model.")
    assert final(outbox) == {"From a realtime model.": True}


async def test_voices_that_are_told_apart_are_kept(outbox: Outbox, talk: Talk) -> None:
    """Speech to text with diarization names each voice; the participant is the same for all."""
    session = await talk()
    for words, voice in (("We would like", "S1"), ("a table", "S2"), ("please.", "S1")):
        event = UserInputTranscribedEvent(transcript=words, is_final=True, speaker_id=voice)
        session.emit("user_input_transcribed", event)
    (draft,) = outbox.messages()
    assert draft.metadata == {"final": False, "speaker_ids": ["S1", "S2"]}
    commit(session, "We would like a table please.")
    (turn,) = outbox.messages()
    assert turn.metadata == {"speaker_ids": ["S1", "S2"]}
    assert turn.participant_identity is None, "a session without a room knows nobody"


def test_words_of_two_people_in_one_turn_are_nobodys() -> None:
    """The session was linked to another caller in mid-turn."""
    ada, bob = Piece("I am", now(), "ada"), Piece("here.", now(), "bob")
    assert speaker_of([ada, ada]) == "ada"
    assert speaker_of([ada, bob]) is None
    assert speaker_of([ada, Piece("too", now(), None)]) is None


async def test_typed_text_is_its_senders_before_it_is_committed(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply("I see."))
    item = ChatMessage(role="user", content=["0451"], extra={SENDER: "bob", "from": "web"})
    outbox.recorder.turns.of_caller.typed(item)
    (draft,) = outbox.messages()
    assert (draft.participant_identity, draft.metadata) == ("bob", {"final": False})
    await session.generate_reply(user_input=item)
    turn = outbox.messages()[0]
    assert (turn.id, turn.participant_identity, turn.model) == (draft.id, "bob", None)
    assert turn.metadata == {"extra": {"from": "web"}}


@pytest.mark.parametrize("text", ["\0", "\ud800 lone", "x" * 200_000])
async def test_hostile_text_is_recorded(outbox: Outbox, talk: Talk, text: str) -> None:
    session = await talk()
    hear(session, text)
    assert len(outbox.messages()) == 1
    assert outbox.recorder.failures == 0


def _finalise(session: AgentSession[None], item_id: str, text: str) -> None:
    """Tell of a realtime model's item as LiveKit does, at its first end or at a later one."""
    event = UserInputTranscribedEvent(transcript=text, is_final=True, item_id=item_id)
    session.emit("user_input_transcribed", event)
    item = ChatMessage(role="user", content=[text], id=item_id, transcript_confidence=1.0)
    session._conversation_item_added(item)


async def test_an_item_that_is_finalised_again_is_one_turn_at_its_place(
    outbox: Outbox, talk: Talk
) -> None:
    session = await talk(Reply("One moment."))
    _finalise(session, "item_1", "I would like")
    await session.generate_reply()
    for text in ("I would like to order", "I would like to order a pizza."):
        _finalise(session, "item_1", text)
    _finalise(session, "item_2", "And a coke.")
    assert [message.content for message in outbox.messages()] == [
        "I would like to order a pizza.",
        "One moment.",
        "And a coke.",
    ]
    turn, reply, _ = outbox.messages()
    assert turn.at < reply.at
    assert turn.metadata == {}


async def test_a_reply_that_is_told_again_is_one_turn(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    for text in ("It costs", "It costs ten euros."):
        session._conversation_item_added(ChatMessage(role="assistant", content=[text], id="item_1"))
    assert outbox.said("assistant") == ["It costs ten euros."]


async def test_a_blank_transcript_is_no_turn(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    for text in ("", "  "):
        _finalise(session, f"item_{len(text)}", text)
    assert outbox.messages() == []


_PIECES = st.lists(st.sampled_from(["no", "I know", "yes", "a b", "b"]), max_size=8)


@given(pieces=_PIECES, cut=st.tuples(st.integers(0, 8), st.integers(0, 8)))
def test_no_piece_is_lost_or_doubled(pieces: Sequence[str], cut: tuple[int, int]) -> None:
    """Whatever run of the pieces is committed: each is dropped, in the turn, or waiting."""
    hearing = PendingTranscripts()
    for piece in pieces:
        hearing.add(Piece(piece, now()))
    first, end = min(cut), max(cut)
    turn = " ".join(pieces[first:end])
    taken = hearing.take(turn)
    assert taken.edited or text_of(taken.words) == turn or not taken.words
    words = text_of([*taken.dropped, *taken.words, *hearing.waiting]).split()
    assert sorted(words) == sorted(" ".join(pieces).split())


def _stt_event() -> MetricsCollectedEvent:
    metrics = STTMetrics(
        label="stt", request_id="r", timestamp=1.0, duration=0.2, audio_duration=2.0, streamed=False
    )
    return MetricsCollectedEvent(metrics=metrics)
