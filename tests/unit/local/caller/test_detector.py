"""The caller's speech detector, fed with synthetic audio at synthetic times."""

import numpy as np
import pytest

from local.caller.detector import MAX_PAUSE_S, SpeechDetector
from local.caller.sound import RATE_HZ, Samples

FRAME_S = 0.02
LOUD, QUIET, MIDDLE = 3_000, 20, 160  # about -24, -67 and -49 to -46 dBFS as sines


def _frames(amplitude: float, seconds: float) -> list[Samples]:
    time = np.arange(int(RATE_HZ * FRAME_S)) / RATE_HZ
    frame = (np.sin(2 * np.pi * 400 * time) * amplitude).astype(np.int16)
    return [frame] * round(seconds / FRAME_S)


def _fed(*parts: tuple[float, float]) -> SpeechDetector:
    """Feed parts of (amplitude, seconds) one after the other from time 0."""
    detector = SpeechDetector()
    now = 0.0
    for amplitude, seconds in parts:
        for frame in _frames(amplitude, seconds):
            now += FRAME_S
            detector.feed(frame, now, FRAME_S)
    return detector


def test_speech_starts_at_its_first_and_ends_at_its_last_loud_frame() -> None:
    (speech,) = _fed((QUIET, 1.0), (LOUD, 0.5), (QUIET, 1.0)).speeches
    assert speech.started_at == pytest.approx(1.0)
    assert speech.last_voice_at == pytest.approx(1.5)
    assert speech.duration_s == pytest.approx(0.5)
    assert speech.ended


def test_a_short_pause_does_not_end_speech_and_a_long_one_does() -> None:
    short, long = MAX_PAUSE_S / 2, MAX_PAUSE_S * 2
    assert len(_fed((LOUD, 0.3), (QUIET, short), (LOUD, 0.3)).speeches) == 1
    assert len(_fed((LOUD, 0.3), (QUIET, long), (LOUD, 0.3)).speeches) == 2


def test_a_click_is_no_speech() -> None:
    assert not _fed((QUIET, 0.2), (LOUD, FRAME_S), (QUIET, 0.5)).speeches


def test_noise_is_no_speech() -> None:
    assert not _fed((QUIET, 3.0)).speeches


def test_a_level_that_cannot_start_speech_can_keep_it_up() -> None:
    assert not _fed((MIDDLE * 1.2, 1.0)).speeches
    (speech,) = _fed((LOUD, 0.2), (MIDDLE * 1.2, 1.0)).speeches
    assert not speech.ended
    assert speech.duration_s == pytest.approx(1.2)


def test_speech_ends_also_when_frames_stop_coming() -> None:
    detector = _fed((LOUD, 0.5))
    assert detector.current is not None
    detector.pass_time(0.5 + MAX_PAUSE_S + 0.1)
    assert detector.current is None
    assert detector.speeches[0].last_voice_at == pytest.approx(0.5)
