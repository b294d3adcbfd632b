"""Whether what the caller said was understood, and if not, why not.

LiveKit reports nothing about speech without a transcript: a cough, or a model that returns nothing,
fails or stalls. This combines what it does report, in any order.
"""

from typing import Final

LONG_SPEECH_S = 1.0
"""Shorter speech may have been a cough."""
SETTLE_S = 0.3
"""How long a transcript may take to arrive after the metrics of its request."""


class HearingProgress:
    """Waits for the transcript of the caller's speech; times are `time.time()` seconds."""

    NOTHING: Final = "unheard"
    STALLED: Final = "stalled"

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._began_at: float | None = None
        self._ended_at: float | None = None
        self._unheard_s = 0.0
        self._asked = False
        self._problem: str | None = None
        self._heard_out_at = 0.0
        self._answered_at = 0.0

    def speech_began(self, at: float) -> None:
        """Note that the caller speaks."""
        if self._ended_at is None:
            self._forget()
        self._began_at, self._ended_at = at, None

    def speech_ended(self, at: float, *, counts: bool) -> None:
        """Note that the caller is silent.

        Args:
            at: When the last sound ended.
            counts: False if the agent speaks: "mhm" to a speaker needs no answer.
        """
        if self._began_at is None:
            return
        self._unheard_s += max(0.0, at - self._began_at)
        self._began_at = None
        # A fast model's transcript comes before LiveKit reports that the caller is silent.
        self._ended_at = at if counts and self._answered_at < at else None

    def answered(self, at: float) -> None:
        """Note that a transcript or an answer has come."""
        self._asked = False
        self._answered_at = at
        if self._began_at is not None:
            self._began_at = at
        self._forget()

    def heard_out(self, at: float) -> None:
        """Note that a request for a transcript was answered, perhaps with nothing."""
        self._heard_out_at = at

    def failed(self, problem: str) -> None:
        """Note that a request for a transcript failed for good."""
        self._problem = problem

    def look(self, at: float, *, streams: bool = False) -> str | None:
        """Return what is wrong, once: NOTHING, STALLED or a problem passed to `failed`.

        Args:
            at: The time now.
            streams: Whether the model reports nothing about speech without words, so that silence
                of the model counts as NOTHING.
        """
        if self._ended_at is None:
            return None
        long = self._unheard_s >= LONG_SPEECH_S
        found: str | None = None
        if self._problem is not None:
            found = self._problem
        elif self._heard_out_at > self._ended_at and at - self._heard_out_at >= SETTLE_S:
            found = self.NOTHING
        elif at - self._ended_at >= self._timeout_s:
            found = self.NOTHING if streams else self.STALLED
        if found is None:
            return None
        self._ended_at = None
        self._forget()
        if found == self.NOTHING:
            if self._asked or not long:
                return None
            self._asked = True
        elif found == self.STALLED and not long:
            return None
        return found

    def _forget(self) -> None:
        self._unheard_s = 0.0
        self._ended_at = None
        self._problem = None
