"""Why a job was cut: its worker drains, or LiveKit's server has ended it."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import api
from livekit.agents import JobContext

from callrecord.db.outbox_home import OutboxHome
from callrecord.recording import cuts
from callrecord.recording.attendance import CRASHED, DRAINED, Attendance
from callrecord.recording.cuts import cut_reason
from tests.callrecord.recording.people import participant


def job(*rooms: str, error: Exception | None = None) -> JobContext:
    """Return a job's context whose LiveKit has these rooms, or can't be asked."""

    async def list_rooms(asked: api.ListRoomsRequest) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace(rooms=[room for room in rooms if room in asked.names])

    livekit = SimpleNamespace(room=SimpleNamespace(list_rooms=list_rooms))
    named = SimpleNamespace(room=SimpleNamespace(name="mine"))
    return cast("JobContext", SimpleNamespace(job=named, api=livekit))


async def test_a_worker_that_drains_says_so(tmp_path: Path) -> None:
    directory = OutboxHome(tmp_path).take()
    assert await cut_reason(job("mine"), directory.path) == "dispatch_deleted"
    directory.note_draining()
    assert await cut_reason(job("mine"), directory.path) == "drained"
    directory.forget_draining()
    directory.forget_draining()
    assert await cut_reason(job("other"), directory.path) == "room_closed"
    directory.note_draining()
    directory.release(remove_if_empty=True)
    assert not directory.path.exists()


async def test_what_is_not_known_is_a_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without notes of a worker, or an answer of LiveKit's."""
    assert await cut_reason(job("mine"), None) == "drained"
    refused = api.TwirpError("unauthenticated", "no", status=401)
    for error in (refused, OSError("down")):
        assert await cut_reason(job(error=error), tmp_path) == "drained"
    assert caplog.text.count("not known why the job was cut") == 2

    async def hangs(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(cuts, "ASK_TIMEOUT_S", 0.01)
    silent = job()
    silent.api.room.list_rooms = hangs  # type: ignore[method-assign, assignment]
    assert await cut_reason(silent, tmp_path) == "drained"


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
