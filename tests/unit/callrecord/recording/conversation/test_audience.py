"""What is heard of a reply when the last person leaves and the agent talks on."""

import pytest

from callrecord.events import Message, new_id, now
from callrecord.recording.conversation.audience import Audience

SPEECH = "speech_1"
STORY = "Once upon a time there was a village."


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [100.0]
    monkeypatch.setattr("callrecord.recording.conversation.audience.time.monotonic", lambda: at[0])
    return at


def story(seconds: float, *, interrupted: bool = False) -> Message:
    """A reply as LiveKit commits it."""
    return Message(
        id=new_id(),
        role="assistant",
        content=STORY,
        at=now(),
        audio_duration_ms=round(seconds * 1000),
        interrupted=interrupted,
    )


def test_a_reply_to_somebody_is_as_livekit_tells(clock: list[float]) -> None:
    audience = Audience()
    audience.sounds(SPEECH)
    clock[0] += 9
    told = story(9)
    assert audience.heard(SPEECH, told) == told


def test_of_a_reply_that_played_on_the_heard_time_is_known(clock: list[float]) -> None:
    audience = Audience()
    audience.sounds(SPEECH)
    clock[0] += 1
    audience.leaves(SPEECH)
    clock[0] += 8
    told = audience.heard(SPEECH, story(9))
    assert (told.content, told.interrupted, told.audio_duration_ms) == (STORY, True, 1000)
    assert told.metadata == {"content": "written"}


def test_a_reply_that_stops_with_the_leave_is_as_livekit_tells(clock: list[float]) -> None:
    audience = Audience()
    audience.sounds(SPEECH)
    clock[0] += 1
    audience.leaves(SPEECH)
    told = story(1.1, interrupted=True)
    assert audience.heard(SPEECH, told) == told


def test_a_reply_into_an_empty_room_was_heard_by_nobody(clock: list[float]) -> None:
    audience = Audience()
    audience.leaves(None)
    audience.sounds(SPEECH)
    clock[0] += 5
    told = audience.heard(SPEECH, story(5))
    assert (told.content, told.generated_content, told.interrupted) == ("", STORY, True)
    assert (told.audio_duration_ms, told.metadata) == (0, {"unheard": True})


def test_who_comes_back_hears_what_follows(clock: list[float]) -> None:
    audience = Audience()
    audience.leaves(None)
    audience.joins()
    audience.sounds(SPEECH)
    clock[0] += 5
    assert audience.heard(SPEECH, story(5)).content == STORY


def test_the_next_step_of_a_speech_that_plays_on_is_unheard(clock: list[float]) -> None:
    """A function's answer follows in the same speech."""
    audience = Audience()
    audience.sounds(SPEECH)
    clock[0] += 1
    audience.leaves(SPEECH)
    clock[0] += 3
    assert audience.heard(SPEECH, story(4)).content == STORY
    audience.sounds(SPEECH)
    clock[0] += 3
    assert audience.heard(SPEECH, story(3)).content == ""
