"""Why a job was cut: its worker drains, or LiveKit's server has ended it."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import api
from livekit.agents import JobContext

from callrecord.recording.room import cuts
from callrecord.recording.room.attendance import CRASHED, DRAINED, Attendance
from callrecord.recording.room.cuts import cut_reason
from tests.unit.callrecord.recording.people import participant


def job(
    *rooms: str, dispatches: tuple[str, ...] = ("AD_1",), error: Exception | None = None
) -> JobContext:
    """Return a job's context whose LiveKit has these rooms and dispatches, or can't be asked."""

    async def list_rooms(asked: api.ListRoomsRequest) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace(rooms=[room for room in rooms if room in asked.names])

    async def list_dispatch(room: str) -> Any:
        assert room == "mine"
        return [SimpleNamespace(id=each) for each in dispatches]

    livekit = SimpleNamespace(
        room=SimpleNamespace(list_rooms=list_rooms),
        agent_dispatch=SimpleNamespace(list_dispatch=list_dispatch),
    )
    named = SimpleNamespace(room=SimpleNamespace(name="mine"), dispatch_id="AD_1")
    return cast("JobContext", SimpleNamespace(job=named, api=livekit))


async def test_room_and_dispatch_tell_who_has_cut() -> None:
    assert await cut_reason(job("mine")) == "drained"
    assert await cut_reason(job("mine", dispatches=("AD_2",))) == "dispatch_deleted"
    assert await cut_reason(job("other")) == "room_closed"
    asked_for_by_nobody = job("mine", dispatches=())
    asked_for_by_nobody.job.dispatch_id = ""
    assert await cut_reason(asked_for_by_nobody) == "drained"


async def test_what_is_not_known_is_a_drain(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without an answer of LiveKit's."""
    refused = api.TwirpError("unauthenticated", "no", status=401)
    for error in (refused, OSError("down")):
        assert await cut_reason(job(error=error)) == "drained"
    assert caplog.text.count("not known why the job was cut") == 2

    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(cuts, "ASK_TIMEOUT_S", 0.01)
    silent = job()
    silent.api.room.list_rooms = hangs  # type: ignore[method-assign, assignment]
    assert await cut_reason(silent) == "drained"


def test_only_a_call_that_nobody_else_has_ended_was_cut() -> None:
    attendance = Attendance()
    assert not attendance.is_cut(DRAINED) or attendance.ending(DRAINED).end_reason == "drained"
    attendance.joined(participant("ada"))
    assert attendance.is_cut(DRAINED)
    assert not attendance.is_cut(CRASHED)
    assert attendance.ending(DRAINED, "dispatch_deleted").end_reason == "dispatch_deleted"
    attendance.hung_up()
    assert not attendance.is_cut(DRAINED)
    assert attendance.ending(DRAINED, "dispatch_deleted").end_reason == "agent_hangup"
