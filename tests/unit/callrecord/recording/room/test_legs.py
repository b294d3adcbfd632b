"""Legs: each stay of a participant, whatever the order in which LiveKit tells it."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from livekit import rtc

from callrecord.events import Leg, now
from callrecord.recording.metadata import told
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.people import (
    described,
    free_to_change,
    leave,
    participant,
    publish,
    renamed,
)
from tests.waiting import until

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


def test_people_stay_where_the_agent_alone_leaves(outbox: Outbox) -> None:
    legs = outbox.recorder.legs
    legs.joined(participant("agent", kind=Kind.PARTICIPANT_KIND_AGENT))
    legs.joined(participant("ada"))
    legs.close(now(), people_stay=True)
    agent, ada = outbox.legs()
    assert agent.left_at is not None
    assert ada.left_at is None


def test_a_leg_that_outlasts_the_session_ends_as_the_agent_leaves(outbox: Outbox) -> None:
    """After `session.shutdown()` the agent may stay in the room: its call has ended before."""
    legs, ended_at = outbox.recorder.legs, now()
    legs.joined(participant("agent", kind=Kind.PARTICIPANT_KIND_AGENT))
    legs.disconnected()
    legs.close(ended_at)
    (leg,) = outbox.legs()
    assert leg.left_at is not None
    assert leg.left_at > ended_at


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


@pytest.mark.parametrize(
    "kind",
    [Kind.PARTICIPANT_KIND_EGRESS, Kind.PARTICIPANT_KIND_INGRESS, Kind.PARTICIPANT_KIND_BRIDGE],
)
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
        ({"userId": {"id": [1]}}, None, {"userId": {"id": [1]}}),
        ({"userId": 10**30}, None, {"userId": 10**30}),
        ("[" * 100_000, None, {"raw": "[" * 65_510 + "\ufffd [cut: 100000 characters]"}),
        ('{"a":' * 40 + "1" + "}" * 40, None, {"raw": '{"a":' * 40 + "1" + "}" * 40}),
        ('{"name": "\\u0000\\ud800"}', None, {"name": "\ufffd\ufffd"}),
        (
            '{"x": NaN, "attributes": 1, "changed": 2}',
            None,
            {"x": None, "attributes": 1, "changed": 2},
        ),
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


def test_who_may_change_its_metadata_names_no_user(outbox: Outbox) -> None:
    """It may have done so before the agent came: what it says is kept, and is no user id."""
    metadata = {"userId": str(uuid4()), "plan": "x"}
    outbox.recorder.legs.joined(free_to_change(participant("ada", metadata=metadata)))
    (leg,) = outbox.legs()
    assert (leg.user_id, leg.metadata) == (None, metadata)


def test_a_phone_bridge_may_change_what_the_caller_can_not(outbox: Outbox) -> None:
    user_id, sip = uuid4(), Kind.PARTICIPANT_KIND_SIP
    metadata = {"userId": str(user_id)}
    outbox.recorder.legs.joined(free_to_change(participant("ada", kind=sip, metadata=metadata)))
    assert outbox.legs()[0].user_id == user_id


async def test_only_the_microphone_mutes(outbox: Outbox) -> None:
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    publish(ada, rtc.TrackSource.SOURCE_CAMERA, muted=True)
    legs.track_changed(ada)
    assert not outbox.legs()[0].is_muted
    microphone = publish(ada)
    legs.track_changed(ada)
    assert len(outbox.of(Leg)) == 1
    microphone._info.muted = True
    legs.track_changed(ada)
    assert outbox.legs()[0].is_muted
    legs.track_changed(participant("stranger"))
    assert len(outbox.legs()) == 1


async def test_a_microphone_may_be_muted_from_the_start(outbox: Outbox) -> None:
    legs, ada = outbox.recorder.legs, participant("ada")
    microphone = publish(ada, muted=True)
    legs.joined(ada)
    assert outbox.legs()[0].is_muted
    ada._track_publications.pop(microphone.sid)
    legs.track_changed(ada)
    assert not outbox.legs()[0].is_muted, "who has no microphone is not muted"


async def test_what_changes_later_is_marked(outbox: Outbox) -> None:
    """The signed user id and metadata stay: a server may change them, or allow them to change."""
    legs, user_id = outbox.recorder.legs, uuid4()
    ada = participant("ada", metadata={"userId": str(user_id), "plan": "x"}, attributes={"a": "1"})
    legs.joined(ada)
    legs.named(renamed(ada, "Countess"))
    legs.named(renamed(ada, "Ada L."))
    legs.metadata_changed(described(ada, metadata=f'{{"userId": "{uuid4()}", "plan": "y"}}'))
    claimed = told(ada.metadata)
    legs.attributes_changed(described(ada, attributes={"a": "1", "lk.agent.state": "speaking"}))
    assert "attributes" not in outbox.recorder.legs._changes[ada.sid]
    legs.attributes_changed(described(ada, attributes={"a": "2"}))
    legs.left(leave(ada))
    (leg,) = outbox.legs()
    assert (leg.user_id, leg.name) == (user_id, "Ada L.")
    assert leg.metadata == {
        "plan": "x",
        "attributes": {"a": "1"},
        "changed": {"name_at_join": "Ada", "metadata": claimed, "attributes": {"a": "2"}},
    }


async def test_many_changes_are_few_versions(outbox: Outbox) -> None:
    """A hundred changes within a second: the first, and the last with the leave."""
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    for number in range(100):
        legs.attributes_changed(described(ada, attributes={"n": str(number)}))
    legs.left(leave(ada))
    assert len(outbox.of(Leg)) == 3
    assert outbox.legs()[0].metadata["changed"] == {"attributes": {"n": "99"}}


async def test_the_last_of_many_changes_is_written_without_a_leave(outbox: Outbox) -> None:
    legs, ada = outbox.recorder.legs, participant("ada")
    legs.joined(ada)
    for number in range(3):
        legs.attributes_changed(described(ada, attributes={"n": str(number)}))
    await until(lambda: len(outbox.of(Leg)) == 3, what="the held version")
    assert outbox.legs()[0].metadata["changed"] == {"attributes": {"n": "2"}}
    legs.close(now())


def test_an_avatar_is_an_agent(outbox: Outbox) -> None:
    """It publishes in the agent's place, whatever its kind."""
    avatar = participant("avatar", attributes={"lk.publish_on_behalf": "agent-AJ_1"})
    outbox.recorder.legs.joined(avatar)
    assert outbox.legs()[0].participant_type == "agent"


def test_one_person_in_the_room_is_who_speaks(outbox: Outbox) -> None:
    """Where an app's own RoomIO does not tell whom it listens to."""
    legs, turns = outbox.recorder.legs, outbox.recorder.turns.of_caller
    ada, bob = participant("ada"), participant("bob")
    legs.joined(participant("agent", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT))
    turns.heard("Nobody there?")
    legs.joined(ada)
    turns.ended("Nobody there?")
    turns.heard("I am Ada.")
    turns.ended("I am Ada.")
    legs.joined(bob)
    turns.heard("Who was that?")
    assert [message.participant_identity for message in outbox.messages()] == [None, "ada", None]
