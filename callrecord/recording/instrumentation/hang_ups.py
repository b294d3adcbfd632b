"""Hang-ups: what the agent's own code does to end a call.

LiveKit closes the session of a job that is cut from outside by the same call, and with the same
reason, as code that hangs up; and a room that a tool deletes ends like one that a front end
deletes. So both calls are looked at as they are made. It relies on the job's own end being called
`_shutdown_job`; where it is not, a session that closes as its job is cut counts as cut.
"""

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

from livekit.agents import AgentSession
from livekit.api.room_service import RoomService
from livekit.protocol.room import DeleteRoomRequest, DeleteRoomResponse

from callrecord.recording.instrumentation.patches import apply_once, replace

_JOBS_OWN: Final = "_shutdown_job"

_by_agent: "WeakSet[AgentSession[Any]]" = WeakSet()
_deleted: dict[str, Callable[[], None]] = {}


def install() -> None:
    """Look at the calls from now on, in this process."""
    apply_once("hang-ups", _install)


def _install() -> None:
    _hook_sessions()
    _hook_rooms()


def closed_by_agent(session: AgentSession[Any]) -> bool:
    """Whether it is known that the agent's own code has closed a session."""
    return session in _by_agent


def on_room_deleted(room: str, told: Callable[[], None]) -> None:
    """Have `told` called when code of this process deletes a room; it must not raise."""
    _deleted[room] = told


def forget_room(room: str) -> None:
    """Call it no more: the job is over."""
    _deleted.pop(room, None)


def _hook_sessions() -> None:
    close, shutdown = AgentSession.aclose, AgentSession.shutdown

    @functools.wraps(close)
    def hooked_close(self: AgentSession[Any]) -> Any:
        # A class of somebody's own may call this later, for whoever has called it.
        is_plain = type(self).aclose is AgentSession.aclose
        if is_plain and sys._getframe(1).f_code.co_name != _JOBS_OWN:  # noqa: SLF001
            _by_agent.add(self)
        return close(self)

    @functools.wraps(shutdown)
    def hooked_shutdown(self: AgentSession[Any], *arguments: Any, **named: Any) -> None:
        _by_agent.add(self)
        shutdown(self, *arguments, **named)

    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(hooked_close)
    replace(AgentSession, "aclose", hooked_close)
    replace(AgentSession, "shutdown", hooked_shutdown)


def _hook_rooms() -> None:
    plain = RoomService.delete_room

    @functools.wraps(plain)
    async def hooked(self: RoomService, delete: DeleteRoomRequest) -> DeleteRoomResponse:
        told = _deleted.get(delete.room)
        if told is not None:
            told()
        return await plain(self, delete)

    replace(RoomService, "delete_room", hooked)
