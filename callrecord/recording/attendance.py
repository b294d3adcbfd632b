"""Attendance: who was in the room, and what that tells about how a call ended.

It only looks: the call is somebody else's agent's to end. Our own worker, which ends calls itself,
has `callrecord.recording.presence`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from livekit import rtc
from livekit.agents import CloseEvent, CloseReason

from callrecord.db.events import now
from callrecord.recording.kinds import ROOM_CLOSED, is_person

CRASHED = "job crashed"
DRAINED = "parent process shutdown"
"""What LiveKit gives as a job's shutdown reason, if it was not the agent's own code or the room."""

_BY_THE_AGENT = (CloseReason.USER_INITIATED, CloseReason.TASK_COMPLETED)


@dataclass(frozen=True)
class Ending:
    """How a call ended.

    Attributes:
        end_reason: One of those that `callrecord.db.events` lists.
        at: When; for a caller's hang-up, when the last one left.
        detail: Kept in the row, under `metadata.end`.
    """

    end_reason: str
    at: datetime
    detail: dict[str, Any] = field(default_factory=dict)


class Attendance:
    """Takes in what happens, in order, and says at the end how the call ended."""

    def __init__(self) -> None:
        self._here: dict[str, rtc.RemoteParticipant] = {}
        self._last_left: tuple[datetime, rtc.DisconnectReason.ValueType | None] | None = None
        self._disconnected: tuple[datetime, rtc.DisconnectReason.ValueType] | None = None
        self._failed: Ending | None = None
        self._closed_by_agent: datetime | None = None

    @property
    def callers(self) -> list[rtc.RemoteParticipant]:
        """The people in the room, in the order in which they came."""
        return list(self._here.values())

    def joined(self, participant: rtc.RemoteParticipant) -> None:
        """Count a person in; told twice counts once."""
        if is_person(participant):
            self._here[participant.sid] = participant

    def left(self, participant: rtc.RemoteParticipant) -> None:
        """Count a person out."""
        if self._disconnected is None and self._here.pop(participant.sid, None) is not None:
            self._last_left = (now(), participant.disconnect_reason)

    def disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The agent is out of the room: no leave of anybody will be told any more."""
        self._disconnected = self._disconnected or (now(), reason)

    def session_started(self) -> None:
        """A session talks, perhaps the next one after one that was closed or has failed."""
        self._closed_by_agent = None
        self._failed = None

    def session_closed(self, event: CloseEvent, *, others_talk: bool = False) -> None:
        """A session has closed: what that means depends on who is still there.

        Args:
            event: LiveKit's.
            others_talk: Whether the call goes on with another session.
        """
        if others_talk or self._disconnected is not None or not self._here:
            return
        if event.error is not None:
            error = getattr(event.error, "error", event.error)
            self._failed = Ending("error", now(), {"error": repr(error)})
        elif event.reason in _BY_THE_AGENT:
            self._closed_by_agent = now()

    def ending(self, shutdown_reason: str) -> Ending:
        """Return how the call ended, given why the job was shut down."""
        if self._failed is not None:
            return self._failed
        # LiveKit closes the session of a job that is cut short in the agent's name.
        cut = bool(self._here) and shutdown_reason in (CRASHED, DRAINED)
        if self._closed_by_agent is not None and not cut:
            return Ending("agent_hangup", self._closed_by_agent)
        if not self._here and self._last_left is not None:
            return _left(*self._last_left)
        if shutdown_reason == CRASHED:
            return Ending("error", now(), {"error": "the job's entrypoint failed"})
        if shutdown_reason == DRAINED:
            return Ending("drained", now())
        return self._otherwise(shutdown_reason)

    def _otherwise(self, shutdown_reason: str) -> Ending:
        if not self._here:
            return Ending("no_caller", now())
        return self._cut() or Ending("agent_hangup", now(), {"shutdown_reason": shutdown_reason})

    def _cut(self) -> Ending | None:
        if self._disconnected is None:
            return None
        at, reason = self._disconnected
        if reason == rtc.DisconnectReason.CLIENT_INITIATED:
            return None  # by the job's own shutdown
        detail = {"disconnect_reason": rtc.DisconnectReason.Name(reason).lower()}
        return Ending("room_closed" if reason in ROOM_CLOSED else "error", at, detail)


def _left(at: datetime, reason: rtc.DisconnectReason.ValueType | None) -> Ending:
    return Ending("room_closed" if reason in ROOM_CLOSED else "caller_hangup", at)
