"""Discarded speech: what a caller says while LiveKit withholds the audio from speech to text.

LiveKit sends silence to speech to text (or to a realtime model) while an uninterruptible reply
plays, and during the first seconds of the agent's speech, so that its echo is not heard
(`AgentActivity.push_audio`). Voice activity detection still gets the real audio. So it is known
that the caller spoke, but not what was said.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Literal

from livekit.agents import AgentSession, AgentStateChangedEvent

from callrecord.recording.guard import Guard

Cause = Literal["echo_guard", "uninterruptible"]

_KEPT: Final = 16
"""How many stretches are remembered: a caller's speech rarely spans more."""


@dataclass(slots=True)
class _Stretch:
    began: float
    until: float
    cause: Cause


class DiscardedAudio:
    """Knows when a session discards its caller's audio."""

    def __init__(self) -> None:
        self._session: AgentSession[Any] | None = None
        self._echo_guard_until: float | None = None
        self._stretches: deque[_Stretch] = deque(maxlen=_KEPT)

    def follow(self, session: AgentSession[Any], guard: Guard) -> None:
        """Listen to a session. Call this before it is started."""
        self._session = session
        session.on("agent_state_changed", guard("discarded audio", self._state_changed))

    def within(self, began: float, ended: float) -> tuple[float, Cause | None]:
        """Return how many seconds of a stretch of speech were discarded, and why.

        Args:
            began: When the speech began, in seconds since 1970.
            ended: When it ended, in seconds since 1970.
        """
        longest, cause, total = 0.0, None, 0.0
        for stretch in self._stretches:
            seconds = max(0.0, min(ended, stretch.until) - max(began, stretch.began))
            total += seconds
            if seconds > longest:
                longest, cause = seconds, stretch.cause
        return total, cause

    def _state_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._speaks(event.created_at)
        elif event.old_state == "speaking" and self._stretches:
            last = self._stretches[-1]
            last.until = min(last.until, event.created_at)

    def _speaks(self, at: float) -> None:
        session = self._session
        if session is None:
            return
        if self._echo_guard_until is None and session.output.audio is not None:
            # It runs once a session, by the wall clock, from the agent's first sound on.
            self._echo_guard_until = at + (session.options.aec_warmup_duration or 0.0)
        speech = session.current_speech
        discards = session.options.interruption["discard_audio_if_uninterruptible"]
        if speech is not None and not speech.allow_interruptions and discards:
            self._stretches.append(_Stretch(at, float("inf"), "uninterruptible"))
        elif self._echo_guard_until is not None and at < self._echo_guard_until:
            self._stretches.append(_Stretch(at, self._echo_guard_until, "echo_guard"))
