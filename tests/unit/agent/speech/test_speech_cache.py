"""The speech cache: what it keeps, and what it makes of damage."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.plugins import openai

from agent.speech.speech_cache import (
    FORMAT,
    HALF_FILE_S,
    KEEP_FILES,
    SUFFIX,
    SpeechCache,
    _digest,
    in_pieces,
    voice_of,
    without_silence,
)

TEXT = "Hello!"


def audio(samples: int = 5000) -> rtc.AudioFrame:
    """Return some sound."""
    sound = np.arange(samples, dtype=np.int16)
    return rtc.AudioFrame(sound.tobytes(), 24000, 1, samples)


def the_file(cache: SpeechCache) -> Path:
    """Return the one file there is."""
    (found,) = cache.directory.iterdir()
    return found


@pytest.fixture
def cache(tmp_path: Path) -> SpeechCache:
    """A cache in a directory that is not there yet."""
    return SpeechCache(tmp_path / "var" / "speech", "robin")


def test_what_is_kept_is_read_again(cache: SpeechCache) -> None:
    assert cache.read(TEXT) is None
    cache.keep(TEXT, audio())
    found = SpeechCache(cache.directory, "robin").read(TEXT)
    assert found is not None
    assert (found.sample_rate, found.num_channels, found.samples_per_channel) == (24000, 1, 5000)
    assert bytes(found.data.cast("B")) == bytes(audio().data.cast("B"))


def test_another_voice_or_text_is_another_file(cache: SpeechCache) -> None:
    cache.keep(TEXT, audio())
    assert cache.read("Hello?") is None
    assert SpeechCache(cache.directory, "sophie").read(TEXT) is None


def test_nobody_else_may_listen(cache: SpeechCache) -> None:
    """A greeting may name a customer of the operator's."""
    cache.keep(TEXT, audio())
    assert cache.directory.stat().st_mode & 0o777 == 0o700
    assert the_file(cache).stat().st_mode & 0o777 == 0o600
    assert TEXT not in the_file(cache).name


@pytest.mark.parametrize("left", [0, 1, 40, 5000, -1])
def test_a_truncated_file_is_none(cache: SpeechCache, left: int) -> None:
    cache.keep(TEXT, audio())
    path = the_file(cache)
    path.write_bytes(path.read_bytes()[:left])
    assert cache.read(TEXT) is None
    cache.keep(TEXT, audio())
    assert cache.read(TEXT) is not None


@pytest.mark.parametrize("place", [0, 3, 8, -1])
def test_a_damaged_file_is_none(cache: SpeechCache, place: int) -> None:
    cache.keep(TEXT, audio())
    path = the_file(cache)
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)
    assert cache.read(TEXT) is None


@pytest.mark.parametrize(
    ("rate", "channels", "samples"),
    [(24000, 0, b"ab"), (24000, -1, b"ab"), (0, 1, b"ab"), (24000, 1, b"abc"), (24000, 2, b"ab")],
)
def test_a_file_that_is_no_audio_is_none(
    cache: SpeechCache, rate: int, channels: int, samples: bytes
) -> None:
    """Whole by its checksum, and no frame can be made of it."""
    cache.keep(TEXT, audio())
    head = {"rate": rate, "channels": channels, "sha256": _digest(rate, channels, samples)}
    the_file(cache).write_bytes(json.dumps(head).encode() + b"\n" + samples)
    assert cache.read(TEXT) is None


def test_another_way_of_rendering_is_another_file(
    cache: SpeechCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep(TEXT, audio())
    monkeypatch.setattr("agent.speech.speech_cache.FORMAT", FORMAT + 1)
    assert cache.read(TEXT) is None


def test_old_messages_are_swept(cache: SpeechCache) -> None:
    """Those that were read least recently; and halves of files whose writer died."""
    cache.keep(TEXT, audio(10))
    other = [cache.directory / f"{number}{SUFFIX}" for number in range(KEEP_FILES)]
    for path in other:
        path.write_bytes(b"")
        os.utime(path, (1, 1))
    dead, written = cache.directory / "dead.tmp", cache.directory / "new.tmp"
    dead.write_bytes(b"")
    written.write_bytes(b"")
    long_ago = time.time() - HALF_FILE_S - 1
    os.utime(dead, (long_ago, long_ago))
    cache.sweep()
    assert cache.read(TEXT) is not None
    assert sum(path.exists() for path in other) == KEEP_FILES - 1
    assert (dead.exists(), written.exists()) == (False, True)


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = SpeechCache(tmp_path / "file" / "speech", "robin")
    assert cache.read(TEXT) is None
    with pytest.raises(OSError, match="file"):
        cache.check()


def test_pieces_are_the_whole() -> None:
    pieces = in_pieces(audio(5000))
    assert [piece.samples_per_channel for piece in pieces] == [2400, 2400, 200]
    whole = b"".join(bytes(piece.data.cast("B")) for piece in pieces)
    assert whole == bytes(audio(5000).data.cast("B"))


@pytest.mark.parametrize(("silent", "cut"), [(0, 0), (300, 0), (12000, 12000 - 480)])
def test_silence_before_the_words_is_cut(silent: int, cut: int) -> None:
    """All but 20 ms of it, and nothing of the words."""
    sound = np.concatenate([np.zeros(silent, np.int16), np.full(1000, 5000, np.int16)])
    frame = rtc.AudioFrame(sound.tobytes(), 24000, 1, len(sound))
    assert bytes(without_silence(frame).data.cast("B")) == sound[cut:].tobytes()


def test_silence_alone_is_left() -> None:
    frame = rtc.AudioFrame(bytes(2000), 24000, 1, 1000)
    assert without_silence(frame).samples_per_channel == 1000


@pytest.mark.parametrize(
    "change",
    [
        {"voice": "ash"},
        {"speed": 1.5},
        {"model": "tts-1"},
        {"instructions": "whisper"},
        {"base_url": "http://127.0.0.1:2/v1"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_voice_is_all_that_changes_the_sound(change: dict[str, Any]) -> None:
    options: dict[str, Any] = {
        "api_key": "k",
        "base_url": "http://127.0.0.1:1/v1",
        "voice": "alloy",
    }
    first, again = (openai.TTS(**options) for _ in range(2))
    other = openai.TTS(**(options | change))
    assert voice_of(first) == voice_of(again)
    assert voice_of(first) != voice_of(other)
    for model in (first, again, other):
        await model._client.close()
        await model.aclose()
