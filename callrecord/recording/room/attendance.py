"""Attendance: who was in the room, and what that tells about how a call ended.

It only looks: the call is somebody else's agent's to end. Our own worker, which ends calls itself,
has `callrecord.recording.room.presence`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from livekit import rtc
from livekit.agents import CloseEvent, CloseReason

from callrecord.events import now
from callrecord.recording.room.participants import ROOM_CLOSED, is_person, is_ringing, unanswered

CRASHED = "job crashed"
DRAINED = "parent process shutdown"
"""What LiveKit gives as a job's shutdown reason, if it was not the agent's own code or the room."""

_BY_THE_AGENT = (CloseReason.USER_INITIATED, CloseReason.TASK_COMPLETED)


@dataclass(frozen=True)
class Ending:
    """How a call ended.

    Attributes:
        end_reason: One of those that `callrecord.events` lists.
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
        self._ringing: set[str] = set()
        self._unanswered: tuple[datetime, rtc.DisconnectReason.ValueType | None] | None = None
        self._last_left: tuple[datetime, rtc.DisconnectReason.ValueType | None] | None = None
        self._disconnected: tuple[datetime, rtc.DisconnectReason.ValueType] | None = None
        self._failed: Ending | None = None
        self._closed_by_agent: datetime | None = None
        self._hung_up: Ending | None = None

    @property
    def callers(self) -> list[rtc.RemoteParticipant]:
        """The people in the room, in the order in which they came."""
        return list(self._here.values())

    def joined(self, participant: rtc.RemoteParticipant) -> None:
        """Count a person in; told twice counts once, and a phone once it is answered."""
        if is_ringing(participant):
            self._ringing.add(participant.sid)
        elif is_person(participant):
            self._ringing.discard(participant.sid)
            self._here[participant.sid] = participant

    def left(self, participant: rtc.RemoteParticipant) -> None:
        """Count a person out."""
        if self._disconnected is not None:
            return
        if participant.sid in self._ringing:
            self._ringing.discard(participant.sid)
            self._unanswered = (now(), participant.disconnect_reason)
        elif self._here.pop(participant.sid, None) is not None:
            self._last_left = (now(), participant.disconnect_reason)

    def disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The agent is out of the room: no leave of anybody will be told any more."""
        self._disconnected = self._disconnected or (now(), reason)

    def session_started(self) -> None:
        """A session talks, perhaps the next one after one that was closed or has failed."""
        self._closed_by_agent = None
        self._failed = None
        self._hung_up = None

    def session_closed(
        self, event: CloseEvent, *, by_agent: bool = False, others_talk: bool = False
    ) -> None:
        """A session has closed: what that means depends on who is still there.

        Args:
            event: LiveKit's.
            by_agent: Whether it is known that the agent's own code has closed it.
            others_talk: Whether the call goes on with another session.
        """
        if others_talk or self._disconnected is not None or not self._here:
            return
        if event.error is not None:
            error = getattr(event.error, "error", event.error)
            self._failed = Ending("error", now(), {"error": repr(error)})
        elif by_agent:
            self.hung_up()
        elif event.reason in _BY_THE_AGENT:
            self._closed_by_agent = now()

    def hung_up(self) -> None:
        """The agent's own code has ended the call, whatever LiveKit does of it."""
        if self._here and self._disconnected is None:
            self._hung_up = self._hung_up or Ending("agent_hangup", now())

    def is_cut(self, shutdown_reason: str) -> bool:
        """Whether the job was cut from outside, while somebody was there."""
        return shutdown_reason == DRAINED and self.ending(DRAINED).end_reason == "drained"

    def ending(self, shutdown_reason: str, cut_reason: str = "drained") -> Ending:
        """Return how the call ended.

        Args:
            shutdown_reason: Why the job was shut down, as LiveKit says.
            cut_reason: The end reason of a job that was cut from outside.
        """
        # LiveKit closes the session of a job that is cut short in the agent's name.
        cut = bool(self._here) and shutdown_reason in (CRASHED, DRAINED)
        closed = self._closed_by_agent if not cut else None
        # A job that crashes may close its session on its way out.
        hung_up = self._hung_up if shutdown_reason != CRASHED else None
        return (
            self._failed
            or hung_up
            or (Ending("agent_hangup", closed) if closed is not None else None)
            or self._gone()
            or self._broken_off(shutdown_reason, cut_reason)
        )

    def _gone(self) -> Ending | None:
        """Return the end of a call that everybody has left, or nobody has answered."""
        if self._here:
            return None
        if self._last_left is not None:
            at, reason = self._last_left
            return Ending("room_closed" if reason in ROOM_CLOSED else "caller_hangup", at)
        if self._unanswered is not None:
            at, reason = self._unanswered
            return Ending(unanswered(reason), at, _detail_of(reason))
        return None

    def _broken_off(self, shutdown_reason: str, cut_reason: str) -> Ending:
        """Return the end of a call that neither its people nor the agent have ended."""
        if shutdown_reason == CRASHED:
            return Ending("error", now(), {"error": "the job's entrypoint failed"})
        # What LiveKit tells of the room is nearer to the cause than how the job ends.
        if self._here and (cut := self._cut()) is not None:
            return cut
        if shutdown_reason == DRAINED:
            return Ending(cut_reason if self._here else "drained", now())
        if not self._here:
            return Ending("no_caller", now())
        return Ending("agent_hangup", now(), {"shutdown_reason": shutdown_reason})

    def _cut(self) -> Ending | None:
        if self._disconnected is None:
            return None
        at, reason = self._disconnected
        if reason == rtc.DisconnectReason.CLIENT_INITIATED:
            return None  # by the job's own shutdown
        end_reason = "room_closed" if reason in ROOM_CLOSED else "error"
        return Ending(end_reason, at, _detail_of(reason))


def _detail_of(reason: "rtc.DisconnectReason.ValueType | None") -> dict[str, Any]:
    if reason is None:
        return {}
    return {"disconnect_reason": rtc.DisconnectReason.Name(reason).lower()}
