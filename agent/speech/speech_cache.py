"""Speech cache: messages that were spoken once already, as audio on the local disk.

A file is one message in one voice: a line of JSON that describes the audio, then its samples. The
name is made of the text and of all that the sound depends on, so that a changed message or voice
is another file. Workers and jobs share the directory without locks: a file appears by rename, and
what it holds is checked when it is read.
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
"""Way of rendering, a part of each name: with another one, older files are found no more."""

KEEP_FILES = 200
"""More than that are swept, those that were read least recently first."""

HALF_FILE_S = 3600.0
"""Age at which an unfinished file is nobody's any more."""

SILENCE = 200
"""Samples of 16 bit that are not louder count as silence."""
LEAD_S = 0.02
"""Kept of the silence before the first sound, which may begin softly."""

_FRAME_S = 0.1
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """First line of a file."""

    rate: Annotated[int, msgspec.Meta(ge=8000, le=192_000)]
    channels: Annotated[int, msgspec.Meta(ge=1, le=2)]
    sha256: str


class SpeechCache:
    """Speech in one voice, by its text.

    Args:
        directory: Made when the first message is kept, for its owner alone.
        voice: What the sound depends on besides the text; see `voice_of`.
    """

    def __init__(self, directory: Path, voice: str) -> None:
        self.directory = directory
        self._voice = voice

    def read(self, text: str) -> rtc.AudioFrame | None:
        """Return the message's audio, or None if there is none that is whole."""
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
        with contextlib.suppress(OSError):  # a read-only volume: it is swept elsewhere
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
            with contextlib.suppress(OSError):  # the first error is the one to tell
                Path(name).unlink()
            raise

    def check(self) -> None:
        """Make the directory, if it is not there, and see that it can be written to.

        Raises:
            OSError: It cannot.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory):
            pass

    def sweep(self) -> None:
        """Remove what was not read for long, and halves of files that nobody is writing."""
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
    """Return what the sound of a model depends on: provider, model, voice, speed, and the like.

    Plugins keep their options in `_opts`. One that does not is told apart by provider and model.
    """
    server, options = options_of(model)
    options = _ADDRESS.sub("", options)
    told = (type(model).__module__, model.provider, model.model, server, options)
    return "\0".join(told)


async def render(model: Speaker, text: str) -> rtc.AudioFrame:
    """Return the text as the model speaks it, in one frame, without the silence before it.

    Raises:
        APIError: The model does not answer, or with nothing.
    """
    async with model.synthesize(text) as stream:
        frames = [part.frame async for part in stream]
    return without_silence(utils.combine_frames(frames))


def without_silence(audio: rtc.AudioFrame) -> rtc.AudioFrame:
    """Cut what is silent at the beginning: a caller would wait for it to pass."""
    channels = audio.num_channels
    samples = np.frombuffer(audio.data, dtype=np.int16).reshape(-1, channels)
    (loud,) = np.nonzero(np.any(np.abs(samples.astype(np.int32)) > SILENCE, axis=1))
    if not len(loud):
        return audio
    first = max(0, int(loud[0]) - int(audio.sample_rate * LEAD_S))
    rest = samples[first:]
    return rtc.AudioFrame(rest.tobytes(), audio.sample_rate, channels, len(rest))


def in_pieces(audio: rtc.AudioFrame) -> Sequence[rtc.AudioFrame]:
    """Cut audio into frames of 0.1 s, as a model would send them."""
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
