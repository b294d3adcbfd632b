"""The ending of a call: what its own code says of it, or else what was seen in the room.

LiveKit tells a job in the same words that its worker drains and that its room or its dispatch was
deleted: `cut_reason` asks the server which it was.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from livekit import api, rtc
from livekit.agents import CloseEvent, CloseReason, JobContext

from callrecord.events import now
from callrecord.privacy import private_logger
from callrecord.recording.room.participants import ROOM_CLOSED, unanswered
from callrecord.recording.room.people import People

logger = private_logger("voice.recorder")

CRASHED = "job crashed"
DRAINED = "parent process shutdown"
"""What LiveKit gives as a job's shutdown reason, if it was not the agent's own code or the room."""

ASK_TIMEOUT_S: Final = 2.0
_BY_THE_AGENT = (CloseReason.USER_INITIATED, CloseReason.TASK_COMPLETED)


@dataclass(frozen=True, slots=True)
class End:
    """How a call ended.

    Attributes:
        reason: One of those that `callrecord.events` lists.
        at: When; for a caller's hang-up, when the last one left.
        detail: Kept in the row, under `metadata.end`.
    """

    reason: str
    at: datetime
    detail: dict[str, Any] = field(default_factory=dict)


class Ending:
    """Takes in what happens, in order, and says how the call ended.

    Attributes:
        said: How the call ended as its own code says; None as long as it has said nothing.
    """

    def __init__(self, people: People) -> None:
        """`people` are those of the call; they are counted in and out elsewhere."""
        self.said: End | None = None
        self._people = people
        self._disconnected: tuple[datetime, rtc.DisconnectReason.ValueType] | None = None
        self._failed: End | None = None
        self._closed_by_agent: datetime | None = None
        self._hung_up: End | None = None

    def say(self, end: End) -> bool:
        """Take the word of the call's own code; the first counts. Return whether it was."""
        if self.said is not None:
            return False
        self.said = end
        return True

    def disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The agent is out of the room: nobody's leave will be reported any more."""
        self._disconnected = self._disconnected or (now(), reason)

    @property
    def is_disconnected(self) -> bool:
        """Whether the agent is out of the room."""
        return self._disconnected is not None

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
        if others_talk or not self._goes_on():
            return
        if event.error is not None:
            error = getattr(event.error, "error", event.error)
            self._failed = End("error", now(), {"error": repr(error)})
        elif by_agent:
            self.hung_up()
        elif event.reason in _BY_THE_AGENT:
            self._closed_by_agent = now()

    def hung_up(self, **detail: Any) -> None:
        """The agent's own code has ended the call, whatever LiveKit does of it."""
        if self._goes_on():
            self._hung_up = self._hung_up or End("agent_hangup", now(), detail)

    def is_cut(self, shutdown_reason: str) -> bool:
        """Whether the job was cut from outside, and nothing seen says why."""
        return shutdown_reason == DRAINED and self.end(DRAINED).reason == "drained"

    def seen(self) -> End | None:
        """Return what shows by now that the call is over; None if nothing does."""
        return self.said or self._failed or self._hung_up or self._gone() or self._cut()

    def end(self, shutdown_reason: str, cut_reason: str = "drained") -> End:
        """Return how the call ended.

        Args:
            shutdown_reason: Why the job was shut down, as LiveKit says.
            cut_reason: The end reason of a job that was cut from outside.
        """
        # LiveKit closes the session of a job that is cut short in the agent's name.
        cut = bool(self._people.here) and shutdown_reason in (CRASHED, DRAINED)
        closed = self._closed_by_agent if not cut else None
        # A job that crashes may close its session on its way out.
        hung_up = self._hung_up if shutdown_reason != CRASHED else None
        return (
            self.said
            or self._failed
            or hung_up
            or (End("agent_hangup", closed) if closed is not None else None)
            or self._gone()
            or self._broken_off(shutdown_reason, cut_reason)
        )

    def _goes_on(self) -> bool:
        return bool(self._people.here) and self._disconnected is None

    def _gone(self) -> End | None:
        """Return the end of a call that everybody has left, or nobody has answered."""
        if self._people.here or self._people.ringing:
            return None
        if (leave := self._people.last_left) is not None:
            return End("room_closed" if leave.reason in ROOM_CLOSED else "caller_hangup", leave.at)
        if (leave := self._people.unanswered) is not None:
            return End(unanswered(leave.reason), leave.at, _detail_of(leave.reason))
        return None

    def _broken_off(self, shutdown_reason: str, cut_reason: str) -> End:
        """Return the end of a call that neither its people nor the agent have ended."""
        if shutdown_reason == CRASHED:
            return End("error", now(), {"error": "the job's entrypoint failed"})
        # What LiveKit tells of the room is nearer to the cause than how the job ends.
        if self._people.here and (cut := self._cut()) is not None:
            return cut
        if shutdown_reason == DRAINED:
            return End(cut_reason, now())
        if not self._people.here:
            return End("no_caller", now())
        return End("agent_hangup", now(), {"shutdown_reason": shutdown_reason})

    def _cut(self) -> End | None:
        if self._disconnected is None:
            return None
        at, reason = self._disconnected
        if reason == rtc.DisconnectReason.CLIENT_INITIATED:
            return None  # by the job's own shutdown
        end_reason = "room_closed" if reason in ROOM_CLOSED else "error"
        return End(end_reason, at, _detail_of(reason))


def _detail_of(reason: "rtc.DisconnectReason.ValueType | None") -> dict[str, Any]:
    if reason is None:
        return {}
    return {"disconnect_reason": rtc.DisconnectReason.Name(reason).lower()}


async def cut_reason(ctx: JobContext) -> str:
    """Return the end reason of a call whose job was cut from outside."""
    try:
        return await asyncio.wait_for(_ask(ctx), ASK_TIMEOUT_S)
    except Exception:
        logger.warning("not known why the job was cut", exc_info=True)
        return "drained"


async def _ask(ctx: JobContext) -> str:
    room = ctx.job.room.name
    found = await ctx.api.room.list_rooms(api.ListRoomsRequest(names=[room]))
    if not found.rooms:
        return "room_closed"
    dispatches = await ctx.api.agent_dispatch.list_dispatch(room)
    is_there = any(each.id == ctx.job.dispatch_id for each in dispatches)
    return "drained" if is_there or not ctx.job.dispatch_id else "dispatch_deleted"
