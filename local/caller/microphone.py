"""A microphone that never stops: silence, with utterances put into it."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from livekit import rtc

from local.caller.sound import RATE_HZ, Samples, Sound

_FRAME_S: Final = 0.02
_FRAME_SAMPLES: Final = int(RATE_HZ * _FRAME_S)
_QUEUE_MS: Final = 100


@dataclass(eq=False)
class Utterance:
    """Something the caller says; times are time.monotonic() seconds.

    Attributes:
        sound: What is played.
        started_at: When it began; None while it waits for its turn.
        ended_at: When its speech ended, without the silence after it; None until it is played.
        done: Set when the whole sound was played, or cut.
    """

    sound: Sound
    started_at: float | None = None
    ended_at: float | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Microphone:
    """Feeds an rtc.AudioSource in real time for as long as the call lasts.

    A real microphone sends frames between utterances too, and the agent's voice activity detection
    needs them to notice that the caller stopped.
    """

    def __init__(self) -> None:
        self.source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=_QUEUE_MS)
        self._waiting: deque[Utterance] = deque()
        self._current: Utterance | None = None
        self._offset = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to feed frames."""
        if self._task is None:
            self._task = asyncio.create_task(self._feed(), name="microphone")

    async def aclose(self) -> None:
        """Stop; safe to call twice, or before start."""
        self._cut()
        self._stopping = True
        if self._task is not None:
            # No cancel: LiveKit logs an error for a frame without a receiver. It ends in 100 ms.
            await self._task
            self._task = None
            await self.source.aclose()

    def say(self, sound: Sound) -> Utterance:
        """Queue a sound behind those that wait; await its `done` to know when it was played."""
        utterance = Utterance(sound)
        self._waiting.append(utterance)
        return utterance

    def hush(self) -> None:
        """Stop the current sound and discard the queued ones."""
        self.source.clear_queue()
        self._cut()

    def _cut(self) -> None:
        now = time.monotonic()
        for utterance in (self._current, *self._waiting):
            if utterance is not None:
                utterance.ended_at = now
                utterance.done.set()
        self._current = None
        self._waiting.clear()

    async def _feed(self) -> None:
        # The source takes 100 ms at most, so that awaiting it is what keeps real time.
        while not self._stopping:
            samples = self._next_samples()
            frame = rtc.AudioFrame(samples.tobytes(), RATE_HZ, 1, len(samples))
            await self.source.capture_frame(frame)

    def _next_samples(self) -> Samples:
        playing_at = time.monotonic() + self.source.queued_duration
        if self._current is None and self._waiting:
            self._current, self._offset = self._waiting.popleft(), 0
            self._current.started_at = playing_at
        if self._current is None:
            return np.zeros(_FRAME_SAMPLES, dtype=np.int16)
        part = self._current.sound.samples[self._offset : self._offset + _FRAME_SAMPLES]
        self._offset += _FRAME_SAMPLES
        if self._offset >= len(self._current.sound.samples):
            self._finish(self._current, playing_at + len(part) / RATE_HZ)
        return np.pad(part, (0, _FRAME_SAMPLES - len(part)))

    def _finish(self, utterance: Utterance, sound_ends_at: float) -> None:
        self._current = None
        utterance.ended_at = sound_ends_at - utterance.sound.trailing_silence_s
        delay_s = sound_ends_at - time.monotonic()
        asyncio.get_running_loop().call_later(max(delay_s, 0.0), utterance.done.set)
