"""Hang-ups: what the agent's own code does to end a call.

When a job is stopped from outside, LiveKit closes its session by the same call and with the same
reason as code that hangs up. A room that a tool deletes ends like one that a front end deletes. So
the calls themselves are observed. A job closes its sessions in its `_shutdown_job`; a session that
is closed before that was closed by the agent's code.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from livekit.agents import AgentSession, JobContext
from livekit.agents.ipc import job_proc_lazy_main
from livekit.api.room_service import RoomService
from livekit.protocol.room import DeleteRoomRequest, DeleteRoomResponse

from callrecord.privacy import private_logger
from callrecord.recording.instrumentation.patches import apply_once, replace

logger = private_logger("voice.recorder")

_JOB: Final = "_JobProc"
_JOBS_END: Final = "_shutdown_job"

HungUp = Callable[..., None]
"""Called with details of the hang-up by name; it must not raise."""

_by_agent: "WeakSet[AgentSession[Any]]" = WeakSet()
_closed: "WeakSet[AgentSession[Any]]" = WeakSet()
_ending: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()
"""The loops of jobs that LiveKit is shutting down; each job has its own loop."""
_listeners: "WeakKeyDictionary[JobContext, HungUp]" = WeakKeyDictionary()


def listen(ctx: JobContext, hung_up: HungUp) -> None:
    """Call `hung_up` when code of this process shuts the job down or deletes its room."""
    install()
    _listeners[ctx] = hung_up


def forget(ctx: JobContext) -> None:
    """Remove the job's listener: the job is over."""
    _listeners.pop(ctx, None)


def closed_by_agent(session: AgentSession[Any]) -> bool:
    """Whether the agent's own code has closed a session."""
    return session in _by_agent


def has_closed(session: AgentSession[Any]) -> bool:
    """Whether a close of the session is over; one that fails may emit no event."""
    return session in _closed


def started(session: AgentSession[Any]) -> None:
    """Forget how the session was closed: it runs again."""
    _by_agent.discard(session)
    _closed.discard(session)


def job_ends() -> bool:
    """Whether LiveKit is shutting down this loop's job, and closes its sessions itself."""
    return asyncio.get_running_loop() in _ending


def install() -> None:
    """Observe the calls from now on, in this process."""
    apply_once("hang-ups", _install)


def _install() -> None:
    if _observe_jobs_end():
        _observe_sessions()
    _observe_jobs()
    _observe_rooms()


def _observe_jobs_end() -> bool:
    owner: Any = getattr(job_proc_lazy_main, _JOB, None)
    plain = None if owner is None else vars(owner).get(_JOBS_END)
    if plain is None:
        logger.warning("LiveKit does not show who closes a session, hang-ups may count as cut")
        return False

    @functools.wraps(plain)
    async def observed(self: Any, *arguments: Any, **named: Any) -> None:
        loop = asyncio.get_running_loop()
        _ending.add(loop)
        try:
            await plain(self, *arguments, **named)
        finally:
            _ending.discard(loop)

    replace(owner, _JOBS_END, observed)
    return True


def _observe_sessions() -> None:
    close, shutdown = AgentSession.aclose, AgentSession.shutdown

    @functools.wraps(close)
    async def observed_close(self: AgentSession[Any]) -> None:
        if not job_ends():
            _by_agent.add(self)
        try:
            await close(self)
        finally:
            _closed.add(self)

    @functools.wraps(shutdown)
    def observed_shutdown(self: AgentSession[Any], *arguments: Any, **named: Any) -> None:
        _by_agent.add(self)
        shutdown(self, *arguments, **named)

    replace(AgentSession, "aclose", observed_close)
    replace(AgentSession, "shutdown", observed_shutdown)


def _observe_jobs() -> None:
    plain = JobContext.shutdown

    @functools.wraps(plain)
    def observed(self: JobContext, reason: str = "user requested") -> None:
        hung_up = _listeners.get(self)
        if hung_up is not None:
            hung_up(shutdown_reason=reason)
        plain(self, reason)

    replace(JobContext, "shutdown", observed)


def _observe_rooms() -> None:
    plain = RoomService.delete_room

    @functools.wraps(plain)
    async def observed(self: RoomService, delete: DeleteRoomRequest) -> DeleteRoomResponse:
        for ctx, hung_up in list(_listeners.items()):
            if ctx.job.room.name == delete.room:
                hung_up()
        return await plain(self, delete)

    replace(RoomService, "delete_room", observed)
