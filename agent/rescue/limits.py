"""The limits of a call: how long the caller may be silent, and how long the call may last."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)

from callrecord.recording.guard import Guard

if TYPE_CHECKING:
    from livekit.agents.voice import SpeechHandle


class Silence:
    """Asks a silent caller whether they are there; ends the call after the same silence again.

    LiveKit measures the silence (`user_away_timeout`), but only while the agent listens and no tool
    runs. It reports it once: after the question the timer must be reset.
    """

    def __init__(
        self,
        session: AgentSession[None],
        *,
        present: Callable[[], bool],
        ask: "Callable[[], SpeechHandle]",
        end: Callable[[], None],
    ) -> None:
        """Prepare to listen to a session.

        Args:
            session: The session of the call.
            present: Returns whether a caller is in the room.
            ask: Asks whether the caller is still there.
            end: Ends the call.
        """
        self._session = session
        self._present = present
        self._ask = ask
        self._end = end
        self._asked = False
        self._asking_done: Callable[..., None] = self._count_again

    def listen(self, guard: Guard) -> None:
        """Listen to the session, with handlers made safe by `guard`."""
        on = self._session.on
        self._asking_done = guard("silence goes on", self._count_again)
        on("user_state_changed", guard("silence", self._state_changed))
        on("user_input_transcribed", guard("words after silence", self._transcribed))
        on("conversation_item_added", guard("turn after silence", self._item_added))

    def broken(self) -> None:
        """Reset the timer: a caller was heard or has joined."""
        self._asked = False
        self._session.reset_away_timer()

    def _state_changed(self, event: UserStateChangedEvent) -> None:
        if event.new_state != "away" or not self._present():
            return  # without a caller, only the grace period for a rejoin counts
        if self._asked:
            self._end()
            return
        self._asked = True
        self._ask().add_done_callback(self._asking_done)

    def _count_again(self, _: "SpeechHandle") -> None:
        self._session.reset_away_timer()

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._asked = False

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message" and event.item.role == "user":
            self.broken()  # typed text does not change LiveKit's state


class Duration:
    """Ends a call at its maximum duration, after a warning.

    Args:
        limit_s: Seconds from `start` to the end; 0: no limit.
        warning_s: Seconds before the end at which `warn` is called; never if this is 0, or not
            shorter than `limit_s`.
        warn: Warns the caller that the end is near.
        end: Ends the call.
    """

    def __init__(
        self,
        limit_s: float,
        warning_s: float,
        *,
        warn: Callable[..., Any],
        end: Callable[..., Any],
    ) -> None:
        self._limit_s = limit_s
        self._warning_s = warning_s
        self._warn = warn
        self._end = end
        self._timers: list[asyncio.TimerHandle] | None = None

    def start(self) -> None:
        """Start the timers; a second call (the caller has come back) does nothing."""
        if self._timers is not None:
            return
        self._timers = []
        if not self._limit_s:
            return
        later = asyncio.get_running_loop().call_later
        if 0 < self._warning_s < self._limit_s:
            self._timers.append(later(self._limit_s - self._warning_s, self._warn))
        self._timers.append(later(self._limit_s, self._end))

    def stop(self) -> None:
        """Stop the timers."""
        for timer in self._timers or ():
            timer.cancel()
        self._timers = []
