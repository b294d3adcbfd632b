"""Sound as everything here holds it: 16-bit mono samples at a known rate."""

import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import av.error
import numpy as np
import numpy.typing as npt

from local.caller.errors import CallerError

Samples = npt.NDArray[np.int16]

RATE_HZ = 24_000
"""The rate of every Sound: what OpenAI's speech endpoint makes, and enough for speech."""

_FULL_SCALE = 32_768.0
_WINDOW_S = 0.02
_SILENT_DBFS = -48.0


@dataclass(frozen=True, eq=False)
class Sound:
    """Mono samples, shape (n,), at RATE_HZ."""

    samples: Samples

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / RATE_HZ

    @property
    def trailing_silence_s(self) -> float:
        """Seconds of silence at the end: speech ends that long before the sound does."""
        step = int(RATE_HZ * _WINDOW_S)
        end = len(self.samples)
        while end > 0 and loudness_dbfs(self.samples[max(end - step, 0) : end]) < _SILENT_DBFS:
            end -= step
        return (len(self.samples) - max(end, 0)) / RATE_HZ


def loudness_dbfs(samples: Samples) -> float:
    """Return the root mean square in dB relative to full scale; digital silence is -120."""
    if len(samples) == 0:
        return -120.0
    mean_square = float(np.mean(np.square(samples.astype(np.float32) / _FULL_SCALE)))
    return 10.0 * float(np.log10(max(mean_square, 1e-12)))


def decode(source: bytes | Path) -> Sound:
    """Decode a wav, or any other container that FFmpeg knows, to a Sound.

    Raises:
        CallerError: The file is missing, or holds no sound that can be read.
    """
    name = "the audio" if isinstance(source, bytes) else str(source)
    try:
        if isinstance(source, bytes):
            return Sound(_decode(io.BytesIO(source)))
        with source.open("rb") as file:
            return Sound(_decode(file))
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise CallerError(f"cannot read sound from {name}: {error}") from error


def _decode(file: BinaryIO) -> Samples:
    with av.open(file, mode="r") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        parts = [
            frame.to_ndarray()[0]
            for decoded in (*container.decode(container.streams.audio[0]), None)
            for frame in resampler.resample(decoded)
        ]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)


def encode_wav(samples: Samples) -> bytes:
    """Return the samples (RATE_HZ, mono) as a wav file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples.tobytes())
    return file.getvalue()
