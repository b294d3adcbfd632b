"""Finds where speech begins and ends, by its energy.

Enough for a caller on this machine, whose line is quiet. A tone is speech too, so that tests may
use one. Noise above the threshold is speech as well.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from local.ai.speech_model import RATE, Samples

_FRAME_MS = 20
_FRAME = RATE * _FRAME_MS // 1000
_ONSET_MS = 60  # shorter noises are clicks
_FULL_SCALE = 32_768
# Decibels below full scale at the thresholds 0 and 1; OpenAI's default of 0.5 lies at -40.
_QUIETEST_DB, _RANGE_DB = -50.0, 20.0
# Semantic detection looks at the words; here it only waits longer or shorter.
_PATIENCE_MS = {"low": 900, "medium": 500, "auto": 500, "high": 300}


@dataclass(frozen=True)
class Edge:
    """Speech began, or ended; ``at_ms`` since the session's first sample."""

    kind: Literal["start", "stop"]
    at_ms: int


class Vad:
    """Listens to a session's audio."""

    def __init__(self) -> None:
        self.speaking = False
        self.configure({"type": "server_vad"})
        self._rest = np.zeros(0, np.int16)
        self._clock_ms = 0
        self._loud_ms = 0
        self._quiet_ms = 0

    def configure(self, detection: dict[str, Any]) -> None:
        """Take over a session's ``turn_detection``."""
        threshold = detection.get("threshold", 0.5)
        self._floor_db = _QUIETEST_DB + _RANGE_DB * threshold
        self._silence_ms = detection.get(
            "silence_duration_ms", _PATIENCE_MS[detection.get("eagerness", "auto")]
        )
        self.prefix_ms = detection.get("prefix_padding_ms", 300)

    def push(self, samples: Samples) -> list[Edge]:
        """Listen on; tell the edges found."""
        samples = np.concatenate((self._rest, samples))
        whole = len(samples) - len(samples) % _FRAME
        self._rest = samples[whole:]
        edges = (self._frame(frame) for frame in samples[:whole].reshape(-1, _FRAME))
        return [edge for edge in edges if edge]

    def reset(self) -> None:
        """Forget the speech under way, whose audio was taken or thrown away."""
        self.speaking = False
        self._loud_ms = self._quiet_ms = 0

    def _frame(self, frame: Samples) -> Edge | None:
        self._clock_ms += _FRAME_MS
        if _decibels(frame) >= self._floor_db:
            self._loud_ms += _FRAME_MS
            self._quiet_ms = 0
        else:
            self._loud_ms = 0
            self._quiet_ms += _FRAME_MS
        if not self.speaking and self._loud_ms >= _ONSET_MS:
            self.speaking = True
            return Edge("start", max(0, self._clock_ms - self._loud_ms - self.prefix_ms))
        if self.speaking and self._quiet_ms >= self._silence_ms:
            self.reset()
            return Edge("stop", self._clock_ms)
        return None


def _decibels(frame: Samples) -> float:
    """Loudness relative to full scale."""
    power = float(np.mean(np.square(frame.astype(np.float32) / _FULL_SCALE)))
    return 10 * float(np.log10(power + 1e-12))
