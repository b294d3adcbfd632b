"""Whether what a caller said was understood; times are seconds of a made-up clock."""

import pytest

from agent.rescue.hearing_progress import SETTLE_S, HearingProgress

TIMEOUT_S = 8.0


@pytest.fixture
def watch() -> HearingProgress:
    """A watch that nobody has spoken to."""
    return HearingProgress(TIMEOUT_S)


def say(watch: HearingProgress, began: float, ended: float, *, counts: bool = True) -> None:
    """Speak."""
    watch.speech_began(began)
    watch.speech_ended(ended, counts=counts)


def test_silence_needs_no_answer(watch: HearingProgress) -> None:
    assert watch.look(1000) is None


def test_a_transcript_is_an_answer(watch: HearingProgress) -> None:
    say(watch, 10, 12)
    watch.heard_out(12.5)
    watch.answered(12.5)
    assert watch.look(100) is None


def test_a_transcript_may_come_before_the_silence_is_told(watch: HearingProgress) -> None:
    watch.speech_began(10)
    watch.heard_out(12.5)
    watch.answered(12.5)
    watch.speech_ended(12, counts=True)
    assert watch.look(100) is None


def test_what_is_said_after_a_transcript_is_waited_for(watch: HearingProgress) -> None:
    watch.speech_began(10)
    watch.answered(11)
    watch.speech_ended(13, counts=True)
    assert watch.look(13 + TIMEOUT_S) == HearingProgress.STALLED


def test_no_answer_in_time_is_told_once(watch: HearingProgress) -> None:
    say(watch, 10, 12)
    assert watch.look(12 + TIMEOUT_S - 0.1) is None
    assert watch.look(12 + TIMEOUT_S) == HearingProgress.STALLED
    assert watch.look(12 + TIMEOUT_S + 1) is None


def test_an_error_is_told_whatever_was_said(watch: HearingProgress) -> None:
    say(watch, 10, 10.3)
    watch.failed("APIStatusError")
    assert watch.look(10.5) == "APIStatusError"


def test_an_error_while_nobody_speaks_is_no_matter(watch: HearingProgress) -> None:
    """A stream of a provider's that is closed for idleness, for one."""
    watch.failed("APIConnectionError")
    say(watch, 10, 12)
    assert watch.look(12.5) is None


def test_a_request_that_brought_nothing(watch: HearingProgress) -> None:
    say(watch, 10, 12)
    watch.heard_out(12.5)
    assert watch.look(12.5 + SETTLE_S / 2) is None
    assert watch.look(12.5 + SETTLE_S) == HearingProgress.NOTHING


def test_nothing_is_told_once_in_a_row(watch: HearingProgress) -> None:
    told = []
    for began in (10, 20, 30):
        say(watch, began, began + 2)
        watch.heard_out(began + 2.5)
        told.append(watch.look(began + 3))
    assert told == [HearingProgress.NOTHING, None, None]
    say(watch, 40, 42)
    watch.answered(42.5)
    say(watch, 50, 52)
    watch.heard_out(52.5)
    assert watch.look(53) == HearingProgress.NOTHING


def test_a_stream_without_words_is_nothing_heard_and_told_once(watch: HearingProgress) -> None:
    say(watch, 10, 12)
    assert watch.look(12 + TIMEOUT_S, streams=True) == HearingProgress.NOTHING
    say(watch, 30, 32)
    assert watch.look(32 + TIMEOUT_S, streams=True) is None


@pytest.mark.parametrize("heard_out", [True, False])
def test_a_cough_asks_for_nothing(watch: HearingProgress, *, heard_out: bool) -> None:
    say(watch, 10, 10.4)
    if heard_out:
        watch.heard_out(10.9)
    assert watch.look(100) is None


def test_speech_with_pauses_is_one(watch: HearingProgress) -> None:
    for began in (10.0, 11.0, 12.0):
        say(watch, began, began + 0.5)
    assert watch.look(12.5 + TIMEOUT_S) == HearingProgress.STALLED


def test_what_is_said_to_a_speaker_needs_no_answer(watch: HearingProgress) -> None:
    say(watch, 10, 12, counts=False)
    watch.failed("APIStatusError")
    assert watch.look(100) is None
