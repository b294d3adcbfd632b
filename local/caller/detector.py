"""Finds speech in a stream of audio frames by their energy."""

from dataclasses import dataclass, field
from typing import Final

from local.caller.sound import Samples, loudness_dbfs

STARTS_DBFS: Final = -42.0
"""A frame this loud is voice."""
CONTINUES_DBFS: Final = -48.0
"""While there is speech, a frame this loud still is voice (hysteresis)."""
MIN_SPEECH_S: Final = 0.06
"""Voice shorter than this is a click."""
MAX_PAUSE_S: Final = 0.4
"""Silence longer than this ends a stretch of speech."""


@dataclass
class Speech:
    """A stretch of speech; times are time.monotonic() seconds.

    Attributes:
        started_at: When its first loud frame began.
        last_voice_at: When its last loud frame so far ended.
        ended: Whether it is over; then last_voice_at is its end.
    """

    started_at: float
    last_voice_at: float
    ended: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last voice."""
        return self.last_voice_at - self.started_at


@dataclass
class SpeechDetector:
    """Energy based voice activity detection with hysteresis in level and in time.

    It has no clock of its own: the frames carry the time, so that tests run at any speed.

    Attributes:
        speeches: Every stretch found so far, oldest first.
    """

    speeches: list[Speech] = field(default_factory=list)
    _candidate: Speech | None = None

    @property
    def current(self) -> Speech | None:
        """The stretch that goes on now."""
        return self.speeches[-1] if self.speeches and not self.speeches[-1].ended else None

    def feed(self, samples: Samples, ends_at: float, duration_s: float) -> None:
        """Take the next frame.

        Args:
            samples: Mono samples, shape (n,), any rate.
            ends_at: Monotonic time at which the frame ends.
            duration_s: Its length in seconds.
        """
        level = loudness_dbfs(samples)
        current = self.current
        if current is not None:
            if level >= CONTINUES_DBFS:
                current.last_voice_at = ends_at
            else:
                self.pass_time(ends_at)
        elif level >= STARTS_DBFS:
            self._consider(ends_at, duration_s)
        elif level < CONTINUES_DBFS:
            self._candidate = None

    def pass_time(self, now: float) -> None:
        """End the current stretch if it has been silent for too long, also when no frame came."""
        current = self.current
        if current is not None and now - current.last_voice_at > MAX_PAUSE_S:
            current.ended = True

    def _consider(self, ends_at: float, duration_s: float) -> None:
        candidate = self._candidate or Speech(ends_at - duration_s, ends_at)
        candidate.last_voice_at = ends_at
        self._candidate = candidate
        if candidate.duration_s >= MIN_SPEECH_S - duration_s / 2:
            self.speeches.append(candidate)
            self._candidate = None
