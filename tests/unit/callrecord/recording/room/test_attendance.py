"""Attendance: how a call ended that somebody else's agent has led."""

import pytest
from livekit import rtc
from livekit.agents import CloseEvent, CloseReason
from livekit.agents.llm import LLMError

from callrecord.events import now
from callrecord.recording.room.attendance import CRASHED, DRAINED, Attendance
from tests.unit.callrecord.recording.people import DISCONNECTED, leave, participant

Reason = rtc.DisconnectReason
ROOM = "room disconnected"
BY_USER = CloseEvent(reason=CloseReason.USER_INITIATED)
GONE = CloseEvent(reason=CloseReason.PARTICIPANT_DISCONNECTED)


@pytest.fixture
def attendance() -> Attendance:
    """With one caller there, `ada`."""
    attendance = Attendance()
    attendance.joined(ADA)
    return attendance


ADA = participant("ada")


def failure() -> CloseEvent:
    """Return how a session closes whose language model has failed for good."""
    error = LLMError(timestamp=0, label="llm", error=RuntimeError("no answer"), recoverable=False)
    return CloseEvent(reason=CloseReason.ERROR, error=error)


def test_the_last_leave_is_the_end_however_late_the_job_is_cut(attendance: Attendance) -> None:
    attendance.left(leave(ADA))
    attendance.session_closed(GONE)
    attendance.disconnected(Reason.ROOM_CLOSED)
    for reason in (ROOM, DRAINED, CRASHED):
        assert attendance.ending(reason).end_reason == "caller_hangup"
    assert attendance.ending(ROOM).at == attendance.ending(DRAINED).at


def test_who_comes_back_has_not_hung_up(attendance: Attendance) -> None:
    attendance.left(leave(ADA))
    attendance.joined(participant("ada"))
    assert attendance.ending(DRAINED).end_reason == "drained"


@pytest.mark.parametrize("reason", [Reason.ROOM_DELETED, Reason.PARTICIPANT_REMOVED])
def test_a_caller_who_is_put_out_leaves_a_closed_room(
    attendance: Attendance, reason: "rtc.DisconnectReason.ValueType"
) -> None:
    attendance.left(leave(ADA, reason))
    assert attendance.ending(ROOM).end_reason == "room_closed"


def test_a_room_that_goes_with_all_that_are_in_it_was_closed(attendance: Attendance) -> None:
    """Whose leaves are told no more, and the session is closed by LiveKit."""
    attendance.disconnected(Reason.ROOM_DELETED)
    attendance.session_closed(BY_USER)
    ending = attendance.ending(ROOM)
    assert (ending.end_reason, ending.detail) == (
        "room_closed",
        {"disconnect_reason": "room_deleted"},
    )


@pytest.mark.parametrize(("reason", "ended"), DISCONNECTED.items())
def test_how_the_agent_is_disconnected(
    attendance: Attendance, reason: str, ended: str | None
) -> None:
    """A lost room is an error, whatever LiveKit calls it."""
    attendance.disconnected(Reason.Value(reason))
    ending = attendance.ending(ROOM)
    assert ending.end_reason == (ended or "agent_hangup")
    if ended is not None:
        assert ending.detail == {"disconnect_reason": reason.lower()}


def test_a_session_closed_while_the_caller_is_there_was_the_agents_doing(
    attendance: Attendance,
) -> None:
    attendance.session_closed(BY_USER)
    attendance.left(leave(ADA, Reason.ROOM_DELETED))
    assert attendance.ending(ROOM).end_reason == "agent_hangup"


def test_a_next_session_goes_on(attendance: Attendance) -> None:
    attendance.session_closed(BY_USER)
    attendance.session_started()
    attendance.left(leave(ADA))
    assert attendance.ending(ROOM).end_reason == "caller_hangup"


def test_a_session_that_takes_over_before_the_other_is_closed_goes_on(
    attendance: Attendance,
) -> None:
    attendance.session_started()
    attendance.session_closed(BY_USER, others_talk=True)
    attendance.left(leave(ADA))
    ending = attendance.ending(ROOM)
    assert (ending.end_reason, ending.detail) == ("caller_hangup", {})


def test_a_session_that_replaces_a_failed_one_goes_on(attendance: Attendance) -> None:
    attendance.session_closed(failure())
    failed_at = now()
    attendance.session_started()
    attendance.left(leave(ADA))
    ending = attendance.ending(ROOM)
    assert ending.end_reason == "caller_hangup"
    assert ending.at >= failed_at


def test_the_last_session_to_close_is_the_end(attendance: Attendance) -> None:
    attendance.session_closed(failure(), others_talk=True)
    first_at = now()
    attendance.session_closed(BY_USER)
    ending = attendance.ending(ROOM)
    assert ending.end_reason == "agent_hangup"
    assert ending.at >= first_at


def test_a_job_that_its_agent_shuts_down_was_hung_up(attendance: Attendance) -> None:
    attendance.disconnected(Reason.CLIENT_INITIATED)
    ending = attendance.ending("had enough")
    assert (ending.end_reason, ending.detail) == (
        "agent_hangup",
        {"shutdown_reason": "had enough"},
    )


def test_a_job_cut_by_its_worker_was_drained(attendance: Attendance) -> None:
    """LiveKit closes the session first, in the agent's name."""
    attendance.session_closed(BY_USER)
    attendance.disconnected(Reason.CLIENT_INITIATED)
    assert attendance.ending(DRAINED).end_reason == "drained"


def test_models_that_fail_for_good_are_an_error(attendance: Attendance) -> None:
    attendance.session_closed(failure())
    attendance.left(leave(ADA))
    ending = attendance.ending(ROOM)
    assert (ending.end_reason, ending.detail) == ("error", {"error": "RuntimeError('no answer')"})


def test_a_failure_after_the_last_leave_is_none(attendance: Attendance) -> None:
    attendance.left(leave(ADA))
    attendance.session_closed(failure())
    assert attendance.ending(ROOM).end_reason == "caller_hangup"


def test_an_entrypoint_that_fails_is_an_error(attendance: Attendance) -> None:
    assert attendance.ending(CRASHED).end_reason == "error"
    assert Attendance().ending(CRASHED).end_reason == "error"


def test_an_entrypoint_that_fails_while_its_session_talks_is_an_error(
    attendance: Attendance,
) -> None:
    """LiveKit closes the session first, in the agent's name."""
    attendance.session_started()
    attendance.session_closed(BY_USER)
    attendance.disconnected(Reason.CLIENT_INITIATED)
    ending = attendance.ending(CRASHED)
    assert (ending.end_reason, ending.detail) == (
        "error",
        {"error": "the job's entrypoint failed"},
    )


def test_nobody_came() -> None:
    attendance = Attendance()
    attendance.joined(participant("e", kind=rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS))
    attendance.disconnected(Reason.ROOM_CLOSED)
    assert attendance.ending(ROOM).end_reason == "no_caller"
