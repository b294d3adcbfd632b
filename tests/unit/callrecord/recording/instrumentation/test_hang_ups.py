"""Who has ended a call: the agent's own code, or whatever cuts its job."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseEvent, CloseReason, JobContext
from livekit.agents.ipc import job_proc_lazy_main
from livekit.api.room_service import RoomService
from livekit.protocol.room import DeleteRoomRequest

from callrecord.recording.instrumentation import hang_ups
from callrecord.recording.room.ending import DRAINED
from tests.unit.callrecord.recording.people import leave, participant
from tests.unit.callrecord.recording.room.scene import Scene
from tests.unit.callrecord.recording.scripted import ScriptedLLM

Reason = rtc.DisconnectReason
BY_USER = CloseEvent(reason=CloseReason.USER_INITIATED)


@pytest.fixture
async def session() -> AgentSession[None]:
    hang_ups.install()
    hang_ups.install()
    session = AgentSession[None](llm=ScriptedLLM(()))
    await session.start(Agent(instructions="Be brief."))
    return session


async def job_ends(session: AgentSession[None]) -> None:
    """End a job as LiveKit does, with this session as its first."""
    job: Any = object.__new__(job_proc_lazy_main._JobProc)
    job._job_ctx = SimpleNamespace(
        _primary_agent_session=session, _on_session_end=AsyncMock(), _shutdown_callbacks=[]
    )
    job._session_end_fnc, job._client, job._room = None, AsyncMock(), AsyncMock()
    entrypoint = asyncio.create_task(asyncio.sleep(0))
    info = job_proc_lazy_main._ShutdownInfo(reason=DRAINED, user_initiated=False)
    await job._shutdown_job(entrypoint, info)


async def test_the_jobs_own_end_is_none_of_the_agents(session: AgentSession[None]) -> None:
    seen: list[bool] = []
    session.on("close", lambda _: seen.append(hang_ups.job_ends()))
    await job_ends(session)
    assert not hang_ups.closed_by_agent(session)
    assert seen == [True]
    assert not hang_ups.job_ends()


async def test_code_that_closes_the_session_is(session: AgentSession[None]) -> None:
    await session.aclose()
    assert hang_ups.closed_by_agent(session)


async def test_code_that_shuts_it_down_is(session: AgentSession[None]) -> None:
    session.shutdown()
    assert hang_ups.closed_by_agent(session)
    closed = asyncio.Event()
    session.on("close", lambda _: closed.set())
    await asyncio.wait_for(closed.wait(), 5)


class Theirs(AgentSession[None]):
    """A session of somebody's own."""

    async def aclose(self) -> None:
        """Close in their own way."""
        await super().aclose()


@pytest.mark.parametrize("by_agent", [True, False])
async def test_a_class_that_closes_in_its_own_way_is_no_exception(*, by_agent: bool) -> None:
    hang_ups.install()
    session = Theirs(llm=ScriptedLLM(()))
    await session.start(Agent(instructions="Be brief."))
    await (session.aclose() if by_agent else job_ends(session))
    assert hang_ups.closed_by_agent(session) is by_agent


def job(room: str, shutdowns: list[str]) -> JobContext:
    """Return the context of a job of this room, as far as its end goes."""
    ctx = object.__new__(JobContext)
    ctx._info = cast("Any", SimpleNamespace(job=SimpleNamespace(room=SimpleNamespace(name=room))))
    ctx._on_shutdown = shutdowns.append
    return ctx


async def test_a_job_that_its_code_shuts_down_is_told() -> None:
    told: list[dict[str, Any]] = []
    shutdowns: list[str] = []
    ctx = job("mine", shutdowns)
    hang_ups.listen(ctx, lambda **detail: told.append(detail))
    ctx.shutdown("had enough")
    job("mine", shutdowns).shutdown()
    hang_ups.forget(ctx)
    ctx.shutdown(reason="again")
    assert told == [{"shutdown_reason": "had enough"}]
    assert shutdowns == ["had enough", "user requested", "again"]


async def test_a_room_that_code_deletes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    ctx = job("mine", [])
    hang_ups.listen(ctx, lambda: told.append("mine"))
    service = RoomService.__new__(RoomService)
    monkeypatch.setattr(RoomService, "_client", None, raising=False)
    for room in ("mine", "another"):
        with pytest.raises(AttributeError):  # no client: the request itself is not sent
            await service.delete_room(DeleteRoomRequest(room=room))
    hang_ups.forget(ctx)
    with pytest.raises(AttributeError):
        await service.delete_room(DeleteRoomRequest(room="mine"))
    assert told == ["mine"]


@pytest.mark.parametrize("first", ["the room", "the job"])
def test_an_agent_that_hung_up_has_whatever_livekit_does_of_it(first: str) -> None:
    """Deleting the room makes LiveKit end the job, in the words of a drain."""
    scene = Scene()
    ada = participant("ada")
    scene.joined(ada)
    scene.ending.session_closed(BY_USER, by_agent=True)
    if first == "the room":
        scene.left(leave(ada, Reason.ROOM_DELETED))
        scene.disconnected(Reason.ROOM_DELETED)
    assert scene.end(DRAINED).reason == "agent_hangup"


def test_a_second_login_in_the_agents_name_is_an_error() -> None:
    scene = Scene()
    scene.joined(participant("ada"))
    scene.disconnected(Reason.DUPLICATE_IDENTITY)
    end = scene.end(DRAINED)
    assert (end.reason, end.detail) == (
        "error",
        {"disconnect_reason": "duplicate_identity"},
    )
