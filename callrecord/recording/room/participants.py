"""Participants: whether one is a person, an agent or a phone, and why one left.

LiveKit's bridge puts a phone into the room while it still rings; its attributes say when it is
answered: https://docs.livekit.io/reference/telephony/sip-participant/.
"""

from typing import Final

from livekit import rtc
from livekit.agents.types import ATTRIBUTE_PUBLISH_ON_BEHALF

_KINDS = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD: "standard",
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP: "sip",
    rtc.ParticipantKind.PARTICIPANT_KIND_AGENT: "agent",
    rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS: "egress",
    rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS: "ingress",
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR: "connector",
    rtc.ParticipantKind.PARTICIPANT_KIND_BRIDGE: "bridge",
}
_DEVICES = ("egress", "ingress", "bridge")

ROOM_CLOSED = (
    rtc.DisconnectReason.ROOM_DELETED,
    rtc.DisconnectReason.ROOM_CLOSED,
    rtc.DisconnectReason.PARTICIPANT_REMOVED,
)
"""The reasons of a participant that did not leave by itself."""


def kind_of(participant: rtc.Participant) -> str:
    """Return LiveKit's kind of the participant, as the schema names it."""
    return _KINDS.get(participant.kind, "standard")


def is_device(participant: rtc.Participant) -> bool:
    """Whether the participant records the room or streams into it; a device has no leg."""
    return kind_of(participant) in _DEVICES


def is_agent(participant: rtc.Participant) -> bool:
    """Whether the participant is an agent, or an avatar that publishes for one."""
    return kind_of(participant) == "agent" or ATTRIBUTE_PUBLISH_ON_BEHALF in participant.attributes


def is_person(participant: rtc.Participant) -> bool:
    """Whether the participant is a person who takes part, and so keeps a call going.

    LiveKit never announces hidden participants, such as supervisors who listen in.
    """
    return not is_device(participant) and not is_agent(participant)


_STATUS: Final = "sip.callStatus"
_RINGING: Final = ("dialing", "ringing")
_RULE: Final = "sip.ruleID"
"""Set for an incoming call, which a dispatch rule routes; an outgoing call has none."""


def is_phone(participant: rtc.Participant) -> bool:
    """Whether the participant is a phone on LiveKit's bridge."""
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def is_ringing(participant: rtc.Participant) -> bool:
    """Whether the participant is a phone that nobody has answered yet."""
    return is_phone(participant) and participant.attributes.get(_STATUS) in _RINGING


def unanswered(reason: "rtc.DisconnectReason.ValueType | None") -> str:
    """Return the end reason of a phone call that nobody answered."""
    match reason:
        case rtc.DisconnectReason.USER_REJECTED:
            return "rejected"
        case rtc.DisconnectReason.SIP_TRUNK_FAILURE:
            return "error"  # perhaps it never rang
    return "no_answer"


def direction_of(participant: rtc.Participant) -> str | None:
    """Return "inbound" or "outbound" for a phone; None for any other participant."""
    if not is_phone(participant):
        return None
    return "inbound" if _RULE in participant.attributes else "outbound"


def is_answered(participant: rtc.Participant) -> bool:
    """Whether the participant is a phone that was answered."""
    return is_phone(participant) and not is_ringing(participant)
