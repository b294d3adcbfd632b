"""Callers' turns that no reply follows, with LiveKit's own activity: each is a row, none is cut."""

from collections.abc import Callable
from functools import partial

import pytest
from livekit.agents import Agent, AgentSession, ChatContext, ChatMessage, StopResponse
from livekit.agents.voice.agent_activity import AgentActivity
from livekit.agents.voice.audio_recognition import _EndOfTurnInfo, _EndOfTurnMetrics

from callrecord import uninstall
from callrecord.events import Message
from callrecord.recording.instrumentation import turn_ends
from tests.unit.callrecord.recording import told
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.conversation.test_pending_transcripts import hear
from tests.unit.callrecord.recording.outbox import Outbox, tell
from tests.unit.callrecord.recording.scripted import Reply
from tests.waiting import until


class Wake(Agent):
    """Answers only who names it, and takes its name out of what was said."""

    def __init__(self, stop: Callable[[], Exception] = StopResponse) -> None:
        super().__init__(instructions="Be brief.")
        self._stop = stop

    async def on_user_turn_completed(
        self,
        turn_ctx: ChatContext,  # noqa: ARG002 - LiveKit's
        new_message: ChatMessage,
    ) -> None:
        """Stop, or go on with what is left."""
        text = new_message.text_content or ""
        if "robin" not in text.lower():
            raise self._stop()
        new_message.content = [text.replace("Robin, ", "")]


def end_turn(session: AgentSession[None], text: str) -> None:
    """End a turn as LiveKit's audio recognition does."""
    activity = session._activity
    assert activity is not None
    none = _EndOfTurnMetrics(None, None, None, None)
    info = _EndOfTurnInfo(
        skip_reply=False, new_transcript=text, transcript_confidence=0.9, metrics=none
    )
    activity.on_end_of_turn(info)


def _unanswered(outbox: Outbox, count: int) -> bool:
    return [turn.metadata for turn in users(outbox)][:count] == [{"unanswered": True}] * count


def users(outbox: Outbox) -> list[Message]:
    return [message for message in outbox.messages() if message.role == "user"]


@pytest.mark.parametrize("stop", [StopResponse, lambda: ValueError("a bug of theirs")])
async def test_turns_without_a_reply_are_rows(
    outbox: Outbox, talk: Talk, stop: Callable[[], Exception]
) -> None:
    session = await talk(agent=Wake(stop))
    for number, text in enumerate(("First.", "Second.", "Third.")):
        tell(session, told.stt(f"r{number}"))
        hear(session, text)
        end_turn(session, text)
        await until(partial(_unanswered, outbox, number), what="the row before")
    outbox.recorder.finish("caller_hangup", outbox.header.at, {})
    assert [turn.content for turn in users(outbox)] == ["First.", "Second.", "Third."]
    assert _unanswered(outbox, 3)
    assert not any(turn.interrupted for turn in users(outbox))
    assert [each.message_id for each in outbox.usage()] == [turn.id for turn in users(outbox)]


async def test_a_turn_that_is_answered_at_last_has_its_own_requests(
    outbox: Outbox, talk: Talk
) -> None:
    session = await talk(Reply("Yes?"), agent=Wake())
    for number, text in enumerate(("First.", "Robin, are you there?")):
        tell(session, told.stt(f"r{number}"))
        hear(session, text)
        end_turn(session, text)
    await until(lambda: "Yes?" in outbox.said("assistant"), what="the reply")
    first, second = users(outbox)
    assert (first.content, first.metadata) == ("First.", {"unanswered": True})
    assert (second.content, second.metadata) == (
        "are you there?",
        {"heard": "Robin, are you there?"},
    )
    heard = [each for each in outbox.usage() if each.kind == "stt"]
    assert [each.message_id for each in heard] == [first.id, second.id]


async def test_an_agent_without_a_language_model_listens(
    outbox: Outbox, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AgentActivity, "llm", None)
    session = await talk()
    for text in ("One.", "Two."):
        hear(session, text)
        end_turn(session, text)
    assert [turn.content for turn in users(outbox)] == ["One.", "Two."]
    outbox.recorder.finish("caller_hangup", outbox.header.at, {})
    assert _unanswered(outbox, 2)


async def test_words_heard_in_two_pieces_are_one_turn(outbox: Outbox, talk: Talk) -> None:
    """And what is heard after its end is of the next one."""
    session = await talk(agent=Wake())
    hear(session, "I would like", "a table.", "For two.")
    end_turn(session, "I would like a table.")
    await until(lambda: len(users(outbox)) == 2)
    assert [turn.content for turn in users(outbox)] == ["I would like a table.", "For two."]
    assert users(outbox)[1].metadata == {"final": False}


async def test_without_livekits_names_turns_are_told_apart_as_they_are_committed(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    uninstall()
    monkeypatch.delattr(AgentActivity, turn_ends._HOOK)
    await talk()
    assert "LiveKit does not report where turns end" in caplog.text
    uninstall()


async def test_a_turn_that_was_not_heard_takes_no_row_of_another(
    outbox: Outbox, talk: Talk
) -> None:
    """As one that a push of a button commits before its final transcript."""
    session = await talk(agent=Wake())
    for text in ("First thing.", "Second thing."):
        hear(session, text)
        end_turn(session, text)
    hear(session, "Something")
    item = ChatMessage(role="user", content=["Something else"], transcript_confidence=0.9)
    session._conversation_item_added(item)
    assert [turn.content for turn in users(outbox)] == [
        "First thing.",
        "Second thing.",
        "Something else",
    ]


async def test_a_turn_of_which_a_hook_leaves_no_word_keeps_its_row(
    outbox: Outbox, talk: Talk
) -> None:
    session = await talk()
    hear(session, "One two three four.")
    outbox.recorder.turns.turn_ended("One two three four.")
    item = ChatMessage(role="user", content=["[masked]"], transcript_confidence=0.9)
    session._conversation_item_added(item)
    (turn,) = users(outbox)
    assert (turn.content, turn.metadata) == ("[masked]", {"heard": "One two three four."})
