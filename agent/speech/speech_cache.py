"""The speech cache: messages that were rendered before, as audio on the local disk.

A file is one message in one voice: a line of JSON that describes the audio, then its samples. Its
name is a hash of the text and of everything that affects the sound, so that a changed message or
voice gets another file. Workers and jobs share the directory without locks: files are renamed into
place, and their content is checked when it is read.
"""

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from livekit import rtc
from livekit.agents import tts, utils

from agent.livekit_names import options_of

Speaker = tts.TTS[Any]

SUFFIX = ".speech"
FORMAT = 2
"""The version of the rendering, a part of each name: with another one, old files are not found."""

KEEP_FILES = 200
"""How many files a sweep keeps: those that were read most recently."""

HALF_FILE_S = 3600.0
"""The age at which an unfinished file counts as abandoned."""

SILENCE = 200
"""16-bit samples up to this level count as silence."""
LEAD_S = 0.02
"""How much silence is kept before the first sound, which may begin softly."""

_FRAME_S = 0.1
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line of a file."""

    rate: Annotated[int, msgspec.Meta(ge=8000, le=192_000)]
    channels: Annotated[int, msgspec.Meta(ge=1, le=2)]
    sha256: str


class SpeechCache:
    """Speech in one voice, by its text.

    Args:
        directory: Made when the first message is kept, and accessible only to its owner.
        voice: Everything but the text that affects the sound; see `voice_of`.
    """

    def __init__(self, directory: Path, voice: str) -> None:
        self.directory = directory
        self._voice = voice

    def read(self, text: str) -> rtc.AudioFrame | None:
        """Return the message's audio, or None if there is no complete file."""
        path = self._path(text)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        head_line, _, samples = data.partition(b"\n")
        try:
            head = msgspec.json.decode(head_line, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if (
            not samples
            or len(samples) % (2 * head.channels)
            or head.sha256 != _digest(head.rate, head.channels, samples)
        ):
            return None
        with contextlib.suppress(OSError):  # a read-only volume: others sweep it
            os.utime(path)
        count = len(samples) // (2 * head.channels)
        return rtc.AudioFrame(samples, head.rate, head.channels, count)

    def keep(self, text: str, audio: rtc.AudioFrame) -> None:
        """Write the message's audio; another worker's file of the same message is replaced.

        Raises:
            OSError: The directory cannot be written to.
        """
        samples = bytes(audio.data.cast("B"))
        rate, channels = audio.sample_rate, audio.num_channels
        head = _Head(rate=rate, channels=channels, sha256=_digest(rate, channels, samples))
        self.check()
        handle, name = tempfile.mkstemp(dir=self.directory, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.json.encode(head) + b"\n" + samples)
            Path(name).replace(self._path(text))
        except OSError:
            with contextlib.suppress(OSError):  # raise the first error
                Path(name).unlink()
            raise

    def check(self) -> None:
        """Make the directory if it does not exist, and check that it is writable.

        Raises:
            OSError: It is not writable.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory):
            pass

    def sweep(self) -> None:
        """Remove the files that were not read for longest, and abandoned unfinished files."""
        found = sorted((_last_used(path), path) for path in self.directory.glob(f"*{SUFFIX}"))
        halves = ((_last_used(path), path) for path in self.directory.glob("*.tmp"))
        dead = [path for used, path in halves if used < time.time() - HALF_FILE_S]
        for path in (*dead, *(path for _, path in found[:-KEEP_FILES])):
            with contextlib.suppress(OSError):  # another worker was faster
                path.unlink()

    def _path(self, text: str) -> Path:
        name = hashlib.sha256(f"{FORMAT}\0{self._voice}\0{text}".encode()).hexdigest()
        return self.directory / f"{name[:40]}{SUFFIX}"


def voice_of(model: Speaker) -> str:
    """Return everything that affects the sound of a model: provider, model, voice, speed and so on.

    Plugins keep their options in `_opts`. For one that does not, only provider and model count.
    """
    server, options = options_of(model)
    options = _ADDRESS.sub("", options)
    told = (type(model).__module__, model.provider, model.model, server, options)
    return "\0".join(told)


async def render(model: Speaker, text: str) -> rtc.AudioFrame:
    """Return the text as the model speaks it, in one frame, without leading silence.

    Raises:
        APIError: The model does not answer, or answers with nothing.
    """
    async with model.synthesize(text) as stream:
        frames = [part.frame async for part in stream]
    return without_silence(utils.combine_frames(frames))


def without_silence(audio: rtc.AudioFrame) -> rtc.AudioFrame:
    """Remove leading silence, for which a caller would have to wait."""
    channels = audio.num_channels
    samples = np.frombuffer(audio.data, dtype=np.int16).reshape(-1, channels)
    (loud,) = np.nonzero(np.any(np.abs(samples.astype(np.int32)) > SILENCE, axis=1))
    if not len(loud):
        return audio
    first = max(0, int(loud[0]) - int(audio.sample_rate * LEAD_S))
    rest = samples[first:]
    return rtc.AudioFrame(rest.tobytes(), audio.sample_rate, channels, len(rest))


def in_pieces(audio: rtc.AudioFrame) -> Sequence[rtc.AudioFrame]:
    """Split audio into frames of 0.1 s, as a model would send them."""
    size = int(audio.sample_rate * _FRAME_S) * audio.num_channels
    samples = audio.data
    parts = [samples[first : first + size] for first in range(0, len(samples), size)]
    return [
        rtc.AudioFrame(
            part.tobytes(), audio.sample_rate, audio.num_channels, len(part) // audio.num_channels
        )
        for part in parts
    ]


def _digest(rate: int, channels: int, samples: bytes) -> str:
    return hashlib.sha256(f"{rate} {channels}\n".encode() + samples).hexdigest()


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
