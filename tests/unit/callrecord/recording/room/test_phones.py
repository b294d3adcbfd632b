"""Phone calls: a phone is in the call once it is answered, and its keys are rows."""

from typing import Any

import pytest
from livekit import rtc

from callrecord.events import Message, now
from callrecord.recording.room import keys
from callrecord.recording.room.ending import DRAINED
from callrecord.recording.room.keys import Keys
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.people import leave, participant
from tests.unit.callrecord.recording.room.scene import Scene

Reason = rtc.DisconnectReason
SIP = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
LEAVES = [
    (Reason.USER_UNAVAILABLE, "no_answer"),
    (Reason.USER_REJECTED, "rejected"),
    (Reason.SIP_TRUNK_FAILURE, "error"),
    (Reason.CLIENT_INITIATED, "no_answer"),
]


def phone(status: str, **attributes: str) -> Any:
    """Return a phone whose call has this status."""
    return participant(
        "sip_1", kind=SIP, attributes={"sip.callStatus": status} | attributes, sid="PA_phone"
    )


@pytest.mark.parametrize(("left", "reason"), LEAVES)
def test_a_phone_that_only_rings_was_never_there(left: Any, reason: str) -> None:
    scene = Scene()
    assert not scene.joined(phone("ringing"))
    assert (scene.people.here, scene.people.ringing) == ([], True)
    scene.left(leave(phone("ringing"), left))
    end = scene.ending.seen()
    assert end == scene.end(DRAINED)
    assert end.reason == reason
    assert end.detail == {"disconnect_reason": Reason.Name(left).lower()}


def test_a_phone_is_there_once_it_is_answered() -> None:
    scene = Scene()
    new = [scene.joined(phone(each)) for each in ("dialing", "ringing", "active", "active")]
    assert new == [False, False, True, False]
    assert [who.identity for who in scene.people.here] == ["sip_1"]
    scene.left(leave(phone("hangup")))
    assert scene.end(DRAINED).reason == "caller_hangup"


async def test_a_leg_tells_direction_and_answer(outbox: Outbox) -> None:
    legs = outbox.recorder.legs
    ringing, answered = phone("ringing"), phone("active")
    legs.joined(ringing)
    (leg,) = outbox.legs()
    assert (leg.direction, leg.answered_at) == ("outbound", None)
    legs.attributes_changed(answered)
    (leg,) = outbox.legs()
    assert leg.answered_at is not None
    assert leg.joined_at <= leg.answered_at <= now()
    before = leg.answered_at
    legs.attributes_changed(phone("active", other="x"))
    assert outbox.legs()[0].answered_at == before


def test_a_call_that_came_in_is_inbound(outbox: Outbox) -> None:
    rule = {"sip.ruleID": "SDR_1"}
    outbox.recorder.legs.joined(phone("active", **rule))
    outbox.recorder.legs.joined(participant("ada"))
    by_phone, by_web = outbox.legs()
    assert (by_phone.direction, by_phone.answered_at) == ("inbound", by_phone.joined_at)
    assert (by_web.direction, by_web.answered_at) == (None, None)


@pytest.mark.parametrize(("masked", "shown"), [(False, "12#"), (True, "***")])
def test_keys_of_one_run_are_a_row(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, shown: str, *, masked: bool
) -> None:
    pressed = Keys(outbox.recorder.append, masked=masked).pressed
    ada = phone("active")
    for digit in "12#":
        pressed(rtc.SipDTMF(code=0, digit=digit, participant=ada))
    monkeypatch.setattr(keys, "RUN_S", -1.0)
    pressed(rtc.SipDTMF(code=0, digit="9", participant=ada))
    first, second = outbox.messages()
    assert (first.role, first.content, first.metadata) == ("system", shown, {"kind": "dtmf"})
    assert (first.participant_identity, len(second.content)) == ("sip_1", 1)


def test_keys_of_two_phones_are_two_runs(outbox: Outbox) -> None:
    room = rtc.EventEmitter[Any]()
    outbox.recorder._on(room, "sip_dtmf_received", outbox.recorder._keys.pressed)
    for who in ("sip_1", "sip_2"):
        key = rtc.SipDTMF(code=1, digit="1", participant=participant(who, kind=SIP))
        room.emit("sip_dtmf_received", key)
    room.emit("sip_dtmf_received", rtc.SipDTMF(code=1, digit="5"))
    assert [message.participant_identity for message in outbox.of(Message)] == [
        "sip_1",
        "sip_2",
        None,
    ]
