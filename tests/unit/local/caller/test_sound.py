"""Sound files in and out."""

import wave
from pathlib import Path

import numpy as np
import pytest

from local.caller.errors import CallerError
from local.caller.sound import RATE_HZ, Sound, decode, encode_wav, loudness_dbfs


def test_a_stereo_file_of_another_rate_becomes_mono_at_our_rate(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(np.full(16_000, 1_000, dtype=np.int16).tobytes())
    sound = decode(path)
    assert sound.duration_s == pytest.approx(1.0, abs=0.01)
    assert sound.samples.ndim == 1


def test_what_is_encoded_is_decoded_again() -> None:
    samples = np.arange(RATE_HZ, dtype=np.int16)
    assert np.array_equal(decode(encode_wav(samples)).samples, samples)


def test_silence_after_speech_is_measured() -> None:
    speech, silence = np.full(RATE_HZ, 4_000), np.zeros(RATE_HZ // 2)
    sound = Sound(np.concatenate([speech, silence]).astype(np.int16))
    assert sound.trailing_silence_s == pytest.approx(0.5, abs=0.02)


def test_digital_silence_has_a_level() -> None:
    assert loudness_dbfs(np.zeros(480, dtype=np.int16)) == -120.0


@pytest.mark.parametrize("content", [None, b"", b"no sound at all"])
def test_a_file_without_sound_is_told_by_name(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "hello.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CallerError, match=r"hello\.wav"):
        decode(path)
