"""Records the agent's audio for the caller, and finds the speech in it."""

import asyncio
import bisect
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from livekit import rtc

from local.caller.detector import Speech, SpeechDetector
from local.caller.sound import RATE_HZ, Samples

logger = logging.getLogger("local.caller")

_FRAME_MS: Final = 20


@dataclass(frozen=True)
class _Heard:
    ends_at: float
    samples: Samples


class Ear:
    """Listens to one audio track at a time; the newest track replaces the one before.

    Args:
        keep: Whether to keep the audio (48 kB a second) for `recording`.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._detector = SpeechDetector()
        self._heard: list[_Heard] = []
        self._keep = keep
        self._task: asyncio.Task[None] | None = None

    def listen(self, track: rtc.Track) -> None:
        """Begin to listen to this track."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._run(track), name="ear")

    async def aclose(self) -> None:
        """Stop listening; what was heard stays. Safe to call twice, or before listen."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def speech_since(self, mark: float) -> Speech | None:
        """Return the first stretch of speech that began at or after the mark (monotonic)."""
        self._detector.pass_time(time.monotonic())
        return next((s for s in self._detector.speeches if s.started_at >= mark), None)

    def current_speech(self) -> Speech | None:
        """Return the stretch of speech that goes on now."""
        self._detector.pass_time(time.monotonic())
        return self._detector.current

    def last_voice_at(self) -> float | None:
        """Return when voice was heard last (monotonic); None if never."""
        speeches = self._detector.speeches
        return speeches[-1].last_voice_at if speeches else None

    def speeches(self) -> list[Speech]:
        """Return every stretch of speech so far, oldest first."""
        return list(self._detector.speeches)

    def recording(self, since: float, until: float) -> Samples:
        """Return what was heard between two monotonic times, as samples at RATE_HZ."""
        start = bisect.bisect_left(self._heard, since, key=lambda heard: heard.ends_at)
        end = bisect.bisect_right(self._heard, until, key=lambda heard: heard.ends_at)
        parts = [heard.samples for heard in self._heard[start:end]]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)

    async def _run(self, track: rtc.Track) -> None:
        try:
            stream = rtc.AudioStream(
                track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=_FRAME_MS
            )
        except AssertionError as error:  # LiveKit raises this if the track has already ended
            logger.warning("a track ended before the caller could listen to it", exc_info=error)
            return
        try:
            async for event in stream:
                self._take(event.frame)
        finally:
            await stream.aclose()

    def _take(self, frame: rtc.AudioFrame) -> None:
        now = time.monotonic()
        samples = np.frombuffer(frame.data, dtype=np.int16)
        self._detector.feed(samples, now, len(samples) / RATE_HZ)
        if self._keep:
            self._heard.append(_Heard(now, samples))
