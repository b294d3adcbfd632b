"""Speech that LiveKit keeps from speech to text: that it was there is recorded."""

from typing import Any

import pytest
from livekit.agents import AgentSession, AgentStateChangedEvent, UserStateChangedEvent

from callrecord.events import Message
from tests.unit.callrecord.recording.conversation.test_last_utterance import Ear, commit, tell
from tests.unit.callrecord.recording.loudspeaker import Loudspeaker
from tests.unit.callrecord.recording.outbox import Outbox

GUARD_S = 3.0


class Clock:
    """Steers a session's states, at times of the test's."""

    def __init__(self, session: AgentSession[None]) -> None:
        self._session = session

    def agent(self, before: Any, after: Any, at: float) -> None:
        """Change the agent's state."""
        event = AgentStateChangedEvent(old_state=before, new_state=after, created_at=at)
        self._session.emit("agent_state_changed", event)

    def caller(self, began: float, ended: float) -> None:
        """Have the caller speak for a while."""
        for old, new, at in (("listening", "speaking", began), ("speaking", "listening", ended)):
            event = UserStateChangedEvent(old_state=old, new_state=new, created_at=at)  # type: ignore[arg-type]
            self._session.emit("user_state_changed", event)


@pytest.fixture
async def session(outbox: Outbox) -> AgentSession[None]:
    session = AgentSession[None](stt=Ear(), aec_warmup_duration=GUARD_S)
    session.output.audio = Loudspeaker()
    outbox.recorder.attach_session(session)
    return session


@pytest.fixture
async def clock(session: AgentSession[None]) -> Clock:
    clock = Clock(session)
    clock.agent("initializing", "speaking", 100.0)
    return clock


def missed(outbox: Outbox) -> list[Message]:
    return [each for each in outbox.messages() if each.metadata.get("kind") == "missed_speech"]


async def test_what_is_said_in_the_echo_guard_is_a_row_without_words(
    outbox: Outbox, clock: Clock
) -> None:
    clock.caller(100.5, 102.0)
    (row,) = missed(outbox)
    assert (row.role, row.content) == ("system", "")
    assert row.metadata == {"kind": "missed_speech", "cause": "echo_guard"}
    assert row.speech_started_at is not None
    assert row.speech_ended_at is not None
    assert (row.speech_ended_at - row.speech_started_at).total_seconds() == 1.5
    assert not outbox.recorder._sessions[0].of_caller.utterance.pending, "no transcript will come"


async def test_what_is_said_after_it_is_heard(
    outbox: Outbox, session: AgentSession[None], clock: Clock
) -> None:
    clock.caller(103.5, 105.0)
    tell(session, "Hello?")
    commit(session, "Hello?")
    outbox.recorder.turns.end()
    assert missed(outbox) == []
    assert "discarded_ms" not in outbox.messages()[0].metadata


async def test_what_is_said_while_the_agent_is_silent_is_heard(
    outbox: Outbox, clock: Clock
) -> None:
    clock.agent("speaking", "listening", 101.0)
    clock.caller(101.5, 103.0)
    outbox.recorder.turns.end()
    assert missed(outbox) == []


async def test_a_turn_of_which_words_may_be_missing_says_so(
    outbox: Outbox, session: AgentSession[None], clock: Clock
) -> None:
    """Of a question as long as the greeting, the last word is left."""
    clock.caller(102.0, 105.0)
    tell(session, "Name.")
    commit(session, "Name.")
    (turn,) = outbox.messages()
    assert (turn.content, turn.metadata["discarded_ms"]) == ("Name.", 1000)


async def test_a_part_without_a_transcript_is_recorded_at_the_end(
    outbox: Outbox, clock: Clock
) -> None:
    clock.caller(102.0, 105.0)
    assert missed(outbox) == []
    outbox.recorder.turns.end()
    assert len(missed(outbox)) == 1


@pytest.mark.usefixtures("clock")
async def test_words_that_came_while_it_was_said_were_heard(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    """A speech to text that streams tells them before the caller is silent."""
    event = UserStateChangedEvent(old_state="listening", new_state="speaking", created_at=102.0)
    session.emit("user_state_changed", event)
    tell(session, "Hello there.")
    event = UserStateChangedEvent(old_state="speaking", new_state="listening", created_at=105.0)
    session.emit("user_state_changed", event)
    outbox.recorder.turns.end()
    assert missed(outbox) == []


async def test_a_reply_that_must_be_heard_to_its_end_discards_too(
    outbox: Outbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Speech:
        """What is to be heard to its end."""

        id = "speech_1"
        allow_interruptions = False

    clock.agent("speaking", "listening", 101.0)
    monkeypatch.setattr(AgentSession, "current_speech", property(lambda _: Speech()))
    clock.agent("listening", "speaking", 200.0)
    clock.caller(201.0, 203.0)
    (row,) = missed(outbox)
    assert row.metadata["cause"] == "uninterruptible"
