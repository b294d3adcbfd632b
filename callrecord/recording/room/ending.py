"""The ending of a call: what the agent's own code reports, or else what the room showed.

A job gets the same shutdown reason when its worker drains and when its room or its dispatch is
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
"""LiveKit's shutdown reasons for a job that neither the agent's own code nor the room ended."""

ASK_TIMEOUT_S: Final = 2.0
_BY_THE_AGENT = (CloseReason.USER_INITIATED, CloseReason.TASK_COMPLETED)


@dataclass(frozen=True, slots=True)
class End:
    """How a call ended.

    Attributes:
        reason: One of the end reasons that `callrecord.events` lists.
        at: When it ended; for a caller's hang-up, when the last caller left.
        detail: Kept in the row, under `metadata.end`.
    """

    reason: str
    at: datetime
    detail: dict[str, Any] = field(default_factory=dict)


class Ending:
    """Collects what happens, in order, and decides how the call ended.

    Attributes:
        said: The end that the agent's own code reported; None as long as it reported none.
    """

    def __init__(self, people: People) -> None:
        """`people` are the people of the call; other code updates them."""
        self.said: End | None = None
        self._people = people
        self._disconnected: tuple[datetime, rtc.DisconnectReason.ValueType] | None = None
        self._failed: End | None = None
        self._closed_by_agent: datetime | None = None
        self._hung_up: End | None = None

    def say(self, end: End) -> bool:
        """Set the end that the agent's own code reports. Return whether it is the first one."""
        if self.said is not None:
            return False
        self.said = end
        return True

    def disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """The agent has left the room: nobody's leave will be reported any more."""
        self._disconnected = self._disconnected or (now(), reason)

    @property
    def is_disconnected(self) -> bool:
        """Whether the agent has left the room."""
        return self._disconnected is not None

    def session_started(self) -> None:
        """A session has started, perhaps after another one has closed or failed."""
        self._closed_by_agent = None
        self._failed = None
        self._hung_up = None

    def session_closed(
        self, event: CloseEvent, *, by_agent: bool = False, others_talk: bool = False
    ) -> None:
        """A session has closed: what that means depends on who is still in the room.

        Args:
            event: LiveKit's event.
            by_agent: Whether the agent's own code is known to have closed it.
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
        """The agent's own code has ended the call, no matter what LiveKit reports."""
        if self._goes_on():
            self._hung_up = self._hung_up or End("agent_hangup", now(), detail)

    def is_cut(self, shutdown_reason: str) -> bool:
        """Whether the job was stopped from outside, and nothing in the room shows why."""
        return shutdown_reason == DRAINED and self.end(DRAINED).reason == "drained"

    def seen(self) -> End | None:
        """Return the end of a call that is over already; None if it goes on."""
        return self.said or self._failed or self._hung_up or self._gone() or self._cut()

    def end(self, shutdown_reason: str, cut_reason: str = "drained") -> End:
        """Return how the call ended.

        Args:
            shutdown_reason: LiveKit's reason for the shutdown of the job.
            cut_reason: The end reason of a job that was stopped from outside.
        """
        # LiveKit closes the session of a job that it stops as if the agent had closed it.
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
        """Return the end of a call that everybody left or nobody answered."""
        if self._people.here or self._people.ringing:
            return None
        if (leave := self._people.last_left) is not None:
            return End("room_closed" if leave.reason in ROOM_CLOSED else "caller_hangup", leave.at)
        if (leave := self._people.unanswered) is not None:
            return End(unanswered(leave.reason), leave.at, _detail_of(leave.reason))
        return None

    def _broken_off(self, shutdown_reason: str, cut_reason: str) -> End:
        """Return the end of a call that neither its people nor the agent ended."""
        if shutdown_reason == CRASHED:
            return End("error", now(), {"error": "the job's entrypoint failed"})
        # What LiveKit reports about the room is closer to the cause than how the job ends.
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
            return None  # the job's own shutdown
        end_reason = "room_closed" if reason in ROOM_CLOSED else "error"
        return End(end_reason, at, _detail_of(reason))


def _detail_of(reason: "rtc.DisconnectReason.ValueType | None") -> dict[str, Any]:
    if reason is None:
        return {}
    return {"disconnect_reason": rtc.DisconnectReason.Name(reason).lower()}


async def cut_reason(ctx: JobContext) -> str:
    """Return the end reason of a call whose job was stopped from outside."""
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
