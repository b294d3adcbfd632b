"""The ending: how a call ended that its own code said nothing of."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import api, rtc
from livekit.agents import CloseEvent, CloseReason, JobContext
from livekit.agents.llm import LLMError

from callrecord.events import now
from callrecord.recording.room import ending as module
from callrecord.recording.room.ending import CRASHED, DRAINED, End, cut_reason
from tests.unit.callrecord.recording.people import DISCONNECTED, leave, participant
from tests.unit.callrecord.recording.room.scene import Scene

Reason = rtc.DisconnectReason
ROOM = "room disconnected"
BY_USER = CloseEvent(reason=CloseReason.USER_INITIATED)
GONE = CloseEvent(reason=CloseReason.PARTICIPANT_DISCONNECTED)


@pytest.fixture
def scene() -> Scene:
    """With one caller there, `ada`."""
    scene = Scene()
    scene.joined(ADA)
    return scene


ADA = participant("ada")


def failure() -> CloseEvent:
    """Return how a session closes whose language model has failed for good."""
    error = LLMError(timestamp=0, label="llm", error=RuntimeError("no answer"), recoverable=False)
    return CloseEvent(reason=CloseReason.ERROR, error=error)


def test_the_last_leave_is_the_end_however_late_the_job_is_cut(scene: Scene) -> None:
    scene.left(leave(ADA))
    scene.ending.session_closed(GONE)
    scene.disconnected(Reason.ROOM_CLOSED)
    for reason in (ROOM, DRAINED, CRASHED):
        assert scene.end(reason).reason == "caller_hangup"
    assert scene.end(ROOM).at == scene.end(DRAINED).at


def test_who_comes_back_has_not_hung_up(scene: Scene) -> None:
    scene.left(leave(ADA))
    scene.joined(participant("ada"))
    assert scene.end(DRAINED).reason == "drained"


@pytest.mark.parametrize("reason", [Reason.ROOM_DELETED, Reason.PARTICIPANT_REMOVED])
def test_a_caller_who_is_put_out_leaves_a_closed_room(
    scene: Scene, reason: "rtc.DisconnectReason.ValueType"
) -> None:
    scene.left(leave(ADA, reason))
    assert scene.end(ROOM).reason == "room_closed"


def test_a_room_that_goes_with_all_that_are_in_it_was_closed(scene: Scene) -> None:
    """Whose leaves are told no more, and the session is closed by LiveKit."""
    scene.disconnected(Reason.ROOM_DELETED)
    scene.ending.session_closed(BY_USER)
    end = scene.end(ROOM)
    assert (end.reason, end.detail) == (
        "room_closed",
        {"disconnect_reason": "room_deleted"},
    )


@pytest.mark.parametrize(("reason", "ended"), DISCONNECTED.items())
def test_how_the_agent_is_disconnected(scene: Scene, reason: str, ended: str | None) -> None:
    """A lost room is an error, whatever LiveKit calls it."""
    scene.disconnected(Reason.Value(reason))
    end = scene.end(ROOM)
    assert end.reason == (ended or "agent_hangup")
    if ended is not None:
        assert end.detail == {"disconnect_reason": reason.lower()}


def test_a_session_closed_while_the_caller_is_there_was_the_agents_doing(
    scene: Scene,
) -> None:
    scene.ending.session_closed(BY_USER)
    scene.left(leave(ADA, Reason.ROOM_DELETED))
    assert scene.end(ROOM).reason == "agent_hangup"


def test_a_next_session_goes_on(scene: Scene) -> None:
    scene.ending.session_closed(BY_USER)
    scene.ending.session_started()
    scene.left(leave(ADA))
    assert scene.end(ROOM).reason == "caller_hangup"


def test_a_session_that_takes_over_before_the_other_is_closed_goes_on(
    scene: Scene,
) -> None:
    scene.ending.session_started()
    scene.ending.session_closed(BY_USER, others_talk=True)
    scene.left(leave(ADA))
    end = scene.end(ROOM)
    assert (end.reason, end.detail) == ("caller_hangup", {})


def test_a_session_that_replaces_a_failed_one_goes_on(scene: Scene) -> None:
    scene.ending.session_closed(failure())
    failed_at = now()
    scene.ending.session_started()
    scene.left(leave(ADA))
    end = scene.end(ROOM)
    assert end.reason == "caller_hangup"
    assert end.at >= failed_at


def test_the_last_session_to_close_is_the_end(scene: Scene) -> None:
    scene.ending.session_closed(failure(), others_talk=True)
    first_at = now()
    scene.ending.session_closed(BY_USER)
    end = scene.end(ROOM)
    assert end.reason == "agent_hangup"
    assert end.at >= first_at


def test_a_job_that_its_agent_shuts_down_was_hung_up(scene: Scene) -> None:
    scene.disconnected(Reason.CLIENT_INITIATED)
    end = scene.end("had enough")
    assert (end.reason, end.detail) == (
        "agent_hangup",
        {"shutdown_reason": "had enough"},
    )


def test_a_job_cut_by_its_worker_was_drained(scene: Scene) -> None:
    """LiveKit closes the session first, in the agent's name."""
    scene.ending.session_closed(BY_USER)
    scene.disconnected(Reason.CLIENT_INITIATED)
    assert scene.end(DRAINED).reason == "drained"


def test_models_that_fail_for_good_are_an_error(scene: Scene) -> None:
    scene.ending.session_closed(failure())
    scene.left(leave(ADA))
    end = scene.end(ROOM)
    assert (end.reason, end.detail) == ("error", {"error": "RuntimeError('no answer')"})


def test_a_failure_after_the_last_leave_is_none(scene: Scene) -> None:
    scene.left(leave(ADA))
    scene.ending.session_closed(failure())
    assert scene.end(ROOM).reason == "caller_hangup"


def test_an_entrypoint_that_fails_is_an_error(scene: Scene) -> None:
    assert scene.end(CRASHED).reason == "error"
    assert Scene().end(CRASHED).reason == "error"


def test_an_entrypoint_that_fails_while_its_session_talks_is_an_error(
    scene: Scene,
) -> None:
    """LiveKit closes the session first, in the agent's name."""
    scene.ending.session_started()
    scene.ending.session_closed(BY_USER)
    scene.disconnected(Reason.CLIENT_INITIATED)
    end = scene.end(CRASHED)
    assert (end.reason, end.detail) == (
        "error",
        {"error": "the job's entrypoint failed"},
    )


def test_nobody_came() -> None:
    scene = Scene()
    scene.joined(participant("e", kind=rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS))
    scene.disconnected(Reason.ROOM_CLOSED)
    assert scene.end(ROOM).reason == "no_caller"


def test_only_a_call_that_nobody_else_has_ended_was_cut(scene: Scene) -> None:
    assert Scene().ending.is_cut(DRAINED)
    assert scene.ending.is_cut(DRAINED)
    assert not scene.ending.is_cut(CRASHED)
    assert scene.end(DRAINED, "dispatch_deleted").reason == "dispatch_deleted"
    scene.ending.hung_up()
    assert not scene.ending.is_cut(DRAINED)
    assert scene.end(DRAINED, "dispatch_deleted").reason == "agent_hangup"


def test_what_the_calls_own_code_says_first_counts(scene: Scene) -> None:
    end = End("transferred", now(), {"handover": {}})
    assert scene.ending.say(end)
    assert not scene.ending.say(End("error", now()))
    scene.left(leave(ADA))
    assert scene.end(DRAINED) == end
    assert scene.ending.seen() == end


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

    monkeypatch.setattr(module, "ASK_TIMEOUT_S", 0.01)
    silent = job()
    silent.api.room.list_rooms = hangs  # type: ignore[method-assign, assignment]
    assert await cut_reason(silent) == "drained"


@pytest.mark.parametrize(("reason", "ended"), DISCONNECTED.items())
def test_what_a_disconnect_shows_at_once(scene: Scene, reason: str, ended: str | None) -> None:
    scene.disconnected(Reason.Value(reason))
    seen = scene.ending.seen()
    assert (None if seen is None else seen.reason) == ended


def test_a_room_closed_after_the_last_leave_ended_with_the_caller(scene: Scene) -> None:
    scene.left(leave(ADA))
    scene.disconnected(Reason.ROOM_DELETED)
    seen = scene.ending.seen()
    assert seen is not None
    assert (seen.reason, seen.at) == ("caller_hangup", scene.people.gone_since)
