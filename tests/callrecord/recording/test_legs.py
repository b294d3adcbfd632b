"""Legs: each stay of a participant, whatever the order in which LiveKit tells it."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from livekit import rtc

from callrecord.db.events import Leg, now
from tests.callrecord.recording.outbox import Outbox
from tests.callrecord.recording.people import leave, participant, track

Kind = rtc.ParticipantKind


def test_a_join_and_a_leave_are_one_leg(outbox: Outbox) -> None:
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    legs.left(leave(ada))
    (leg,) = outbox.legs()
    assert (leg.identity, leg.name, leg.participant_type) == ("ada", "Ada", "user")
    assert (leg.sid, leg.disconnect_reason) == (ada.sid, "client_initiated")
    assert leg.left_at is not None
    assert leg.joined_at <= leg.left_at


def test_a_join_told_twice_is_one_leg(outbox: Outbox) -> None:
    """By the listing after connecting, and by an event that comes late."""
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    legs.joined(participant("ada", sid=ada.sid))
    assert len(outbox.of(Leg)) == 1


def test_a_leave_told_twice_is_one(outbox: Outbox) -> None:
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    legs.left(leave(ada))
    legs.left(leave(ada))
    assert len(outbox.of(Leg)) == 2


def test_a_leave_without_a_join_is_a_leg(outbox: Outbox) -> None:
    outbox.recorder.legs.left(leave(participant("ada")))
    (leg,) = outbox.legs()
    assert leg.left_at is not None


def test_a_rejoin_is_a_second_leg(outbox: Outbox) -> None:
    """Also when the identity joins again before the first stay is told to be over."""
    legs = outbox.recorder.legs
    first, second = participant("ada"), participant("ada")
    legs.joined(first)
    legs.joined(second)
    legs.left(leave(first, rtc.DisconnectReason.DUPLICATE_IDENTITY))
    by_sid = {leg.sid: leg for leg in outbox.legs()}
    assert by_sid[first.sid].disconnect_reason == "duplicate_identity"
    assert by_sid[second.sid].left_at is None


def test_legs_open_at_the_end_are_closed_with_the_call(outbox: Outbox) -> None:
    legs = outbox.recorder.legs
    legs.joined(participant("ada"))
    legs.close(now() - timedelta(hours=1))  # the clock stepped back: never before the join
    legs.close(now())
    (leg,) = outbox.legs()
    assert leg.left_at == leg.joined_at


@pytest.mark.parametrize(
    ("kind", "name", "type_"),
    [
        (Kind.PARTICIPANT_KIND_SIP, "sip", "user"),
        (Kind.PARTICIPANT_KIND_AGENT, "agent", "agent"),
        (Kind.PARTICIPANT_KIND_CONNECTOR, "connector", "user"),
    ],
)
def test_kinds_are_told(
    outbox: Outbox, kind: "rtc.ParticipantKind.ValueType", name: str, type_: str
) -> None:
    outbox.recorder.legs.joined(participant("x", kind=kind))
    (leg,) = outbox.legs()
    assert (leg.kind, leg.participant_type) == (name, type_)


@pytest.mark.parametrize("kind", [Kind.PARTICIPANT_KIND_EGRESS, Kind.PARTICIPANT_KIND_INGRESS])
def test_recorders_are_nobody(outbox: Outbox, kind: "rtc.ParticipantKind.ValueType") -> None:
    recorder = participant("egress", kind=kind)
    outbox.recorder.legs.joined(recorder)
    outbox.recorder.legs.left(leave(recorder))
    assert outbox.legs() == []


@pytest.mark.parametrize(
    ("metadata", "user_id", "kept"),
    [
        ("", None, {}),
        ("not json", None, {"raw": "not json"}),
        ("[1]", None, {"raw": "[1]"}),
        ({"userId": 7, "plan": "x"}, None, {"userId": 7, "plan": "x"}),
        ({"userId": None}, None, {}),
    ],
)
def test_odd_token_metadata_is_kept(
    outbox: Outbox, metadata: str | dict[str, Any], user_id: UUID | None, kept: dict[str, Any]
) -> None:
    outbox.recorder.legs.joined(participant("ada", metadata=metadata))
    (leg,) = outbox.legs()
    assert (leg.user_id, leg.metadata) == (user_id, kept)


def test_the_user_is_told_by_signed_metadata(outbox: Outbox) -> None:
    user_id = uuid4()
    metadata = {"userId": str(user_id), "callId": "c"}
    ada = participant("ada", metadata=metadata, attributes={"sip.phoneNumber": "+1"})
    outbox.recorder.legs.joined(ada)
    (leg,) = outbox.legs()
    assert leg.user_id == user_id
    assert leg.metadata == {"callId": "c", "attributes": {"sip.phoneNumber": "+1"}}


def test_only_the_microphone_mutes(outbox: Outbox) -> None:
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    legs.muted(ada, track(rtc.TrackSource.SOURCE_CAMERA), value=True)
    assert not outbox.legs()[0].is_muted
    legs.muted(ada, track(), value=True)
    assert outbox.legs()[0].is_muted
    legs.muted(participant("stranger"), track(), value=True)
    assert len(outbox.legs()) == 1
