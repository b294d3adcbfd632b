"""Presence: who is in the room decides when a call is connected and when it is over."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from livekit import rtc

from callrecord.events import now
from callrecord.recording.room.participants import ROOM_CLOSED, is_person, is_ringing, unanswered


class Presence:
    """Watches callers come and go, and says once how the call ended.

    A caller who leaves may come back within the grace: the call goes on, with a new leg.
    """

    def __init__(
        self,
        *,
        grace_s: float,
        no_caller_timeout_s: float,
        on_end: Callable[[str, datetime], None],
    ) -> None:
        self._grace_s = grace_s
        self._no_caller_timeout_s = no_caller_timeout_s
        self._on_end = on_end
        self._here: dict[str, rtc.RemoteParticipant] = {}
        self._ringing: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last_leave: datetime | None = None
        self._had_caller = False

    @property
    def callers(self) -> list[rtc.RemoteParticipant]:
        """The people in the room."""
        return list(self._here.values())

    @property
    def gone_since(self) -> datetime | None:
        """When the last caller left; None while one is there, or if none ever came."""
        return None if self._here else self._last_leave

    def start(self) -> None:
        """Begin to wait for the first caller."""
        if not self._had_caller and not self._ringing:
            self._after(self._no_caller_timeout_s, "no_caller", None)

    def joined(self, participant: rtc.RemoteParticipant) -> None:
        """Count a person in; told twice counts once, and a phone once it is answered."""
        if not is_person(participant):
            return
        if is_ringing(participant):  # as long as its own provider lets it
            self._ringing.add(participant.sid)
            self._cancel()
            return
        self._ringing.discard(participant.sid)
        self._here[participant.sid] = participant
        self._cancel()
        self._had_caller = True

    def left(self, participant: rtc.RemoteParticipant) -> None:
        """Count a person out; when nobody is left, the grace begins."""
        if participant.sid in self._ringing:
            self._ringing.discard(participant.sid)
            if not self._here and not self._ringing:
                self._on_end(unanswered(participant.disconnect_reason), now())
            return
        if self._here.pop(participant.sid, None) is None or self._here:
            return
        self._last_leave = now()
        reason = participant.disconnect_reason
        if reason in ROOM_CLOSED:
            self._on_end("room_closed", self._last_leave)
        else:
            self._after(self._grace_s, "caller_hangup", self._last_leave)

    def room_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The agent itself is out of the room: no leave of anybody will be told any more."""
        if (gone_since := self.gone_since) is not None:
            self._on_end("caller_hangup", gone_since)
        elif reason in ROOM_CLOSED:
            self._on_end("room_closed", now())
        elif reason != rtc.DisconnectReason.CLIENT_INITIATED:
            self._on_end("error", now())

    def stop(self) -> None:
        """Stop the timers."""
        self._cancel()

    def _after(self, seconds: float, end_reason: str, at: datetime | None) -> None:
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(
            seconds, lambda: self._on_end(end_reason, at or now())
        )

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
