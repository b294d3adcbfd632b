"""The recorder: nothing raises into a call, and what can't be handled is kept as it was."""

import logging

import pytest
from livekit import rtc

from callrecord.events import CallConnected, CallEnded, Unhandled, Usage, new_id, now
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.people import leave, participant


def test_the_first_connect_counts(outbox: Outbox) -> None:
    outbox.recorder.connected(now())
    outbox.recorder.connected(now())
    assert len(outbox.of(CallConnected)) == 1


def test_the_end_closes_legs_and_file(outbox: Outbox) -> None:
    outbox.recorder.legs.joined(participant("ada"))
    at = now()
    outbox.recorder.finish("caller_hangup", at, {"x": 1})
    outbox.recorder.finish("error", now(), {})
    assert outbox.writer.closed
    (end,) = outbox.of(CallEnded)
    assert (end.end_reason, end.at, end.detail) == ("caller_hangup", at, {"x": 1})
    assert outbox.legs()[0].left_at is not None


def test_what_goes_on_after_the_end_is_counted_and_no_failure(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A colleague to whom the agent has handed the caller over stays in the room."""
    outbox.recorder.finish("transferred", now(), {})
    with caplog.at_level(logging.DEBUG):
        outbox.recorder.legs.joined(participant("colleague"))
    assert (outbox.recorder.late, outbox.recorder.failures) == (1, 0)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("DEBUG", "event after the end")
    ]


def test_an_event_that_a_closed_file_does_not_take_is_a_failure(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.writer.close()
    outbox.recorder.legs.joined(participant("ada"))
    assert (outbox.recorder.late, outbox.recorder.failures) == (0, 1)
    assert "event not recorded" in caplog.text


def test_a_request_that_can_not_be_recorded_is_a_gap(outbox: Outbox) -> None:
    outbox.writer.close()
    outbox.recorder.append(Usage(id=new_id(), at=now(), kind="llm"))
    assert outbox.recorder.gaps() == ["1 events of requests could not be handled"]


def test_a_room_is_followed_from_before_it_is_connected(outbox: Outbox) -> None:
    class Room(rtc.EventEmitter[rtc.room.EventTypes]):
        """The emitter that a room is."""

    room, ada = Room(), participant("ada")
    outbox.recorder.attach_room(room)  # type: ignore[arg-type]
    room.emit("participant_connected", ada)
    room.emit("participant_disconnected", leave(ada))
    assert outbox.legs()[0].left_at is not None


def test_a_participant_that_can_not_be_read_is_kept_raw(outbox: Outbox) -> None:
    """And its leg begins with the next word of it."""
    ada = participant("ada")
    info, ada._info = ada._info, None  # type: ignore[assignment]
    joined = outbox.recorder.guard("participant_connected", outbox.recorder.legs.joined)
    joined(ada)
    (unhandled,) = outbox.of(Unhandled)
    assert unhandled.raw == "<RemoteParticipant: AttributeError>"
    ada._info = info
    joined(ada)
    assert [leg.identity for leg in outbox.legs()] == ["ada"]
