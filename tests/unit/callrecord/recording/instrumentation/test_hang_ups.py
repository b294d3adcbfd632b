"""Who has ended a call: the agent's own code, or whatever cuts its job."""

import asyncio

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseEvent, CloseReason
from livekit.api.room_service import RoomService
from livekit.protocol.room import DeleteRoomRequest

from callrecord.recording.instrumentation import hang_ups
from callrecord.recording.room.attendance import DRAINED, Attendance
from tests.unit.callrecord.recording.people import leave, participant
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


async def _shutdown_job(session: AgentSession[None]) -> None:
    """End as LiveKit's job does, under that name."""
    await asyncio.wait_for(session.aclose(), 5)


async def test_the_jobs_own_end_is_none_of_the_agents(session: AgentSession[None]) -> None:
    await _shutdown_job(session)
    assert not hang_ups.closed_by_agent(session)


async def test_code_that_closes_the_session_is(session: AgentSession[None]) -> None:
    await session.aclose()
    assert hang_ups.closed_by_agent(session)


async def test_code_that_shuts_it_down_is(session: AgentSession[None]) -> None:
    session.shutdown()
    assert hang_ups.closed_by_agent(session)
    closed = asyncio.Event()
    session.on("close", lambda _: closed.set())
    await asyncio.wait_for(closed.wait(), 5)


async def test_a_class_that_closes_in_its_own_way_may_be_cut() -> None:
    class Theirs(AgentSession[None]):
        async def aclose(self) -> None:
            await super().aclose()

    hang_ups.install()
    session = Theirs(llm=ScriptedLLM(()))
    await session.start(Agent(instructions="Be brief."))
    await session.aclose()
    assert not hang_ups.closed_by_agent(session)


async def test_a_room_that_code_deletes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hang_ups.install()
    told: list[str] = []

    service = RoomService.__new__(RoomService)
    monkeypatch.setattr(RoomService, "_client", None, raising=False)
    hang_ups.on_room_deleted("mine", lambda: told.append("mine"))
    for room in ("mine", "another"):
        with pytest.raises(AttributeError):  # no client: the request itself is not sent
            await service.delete_room(DeleteRoomRequest(room=room))
    hang_ups.forget_room("mine")
    with pytest.raises(AttributeError):
        await service.delete_room(DeleteRoomRequest(room="mine"))
    assert told == ["mine"]


@pytest.mark.parametrize("first", ["the room", "the job"])
def test_an_agent_that_hung_up_has_whatever_livekit_does_of_it(first: str) -> None:
    """Deleting the room makes LiveKit end the job, in the words of a drain."""
    attendance = Attendance()
    ada = participant("ada")
    attendance.joined(ada)
    attendance.session_closed(BY_USER, by_agent=True)
    if first == "the room":
        attendance.left(leave(ada, Reason.ROOM_DELETED))
        attendance.disconnected(Reason.ROOM_DELETED)
    assert attendance.ending(DRAINED).end_reason == "agent_hangup"


def test_a_second_login_in_the_agents_name_is_an_error() -> None:
    attendance = Attendance()
    attendance.joined(participant("ada"))
    attendance.disconnected(Reason.DUPLICATE_IDENTITY)
    ending = attendance.ending(DRAINED)
    assert (ending.end_reason, ending.detail) == (
        "error",
        {"disconnect_reason": "duplicate_identity"},
    )
