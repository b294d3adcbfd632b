"""Kinds of participants and of leaves: who is a person, who an agent, who did not go by itself."""

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
"""Why a participant leaves that does not go by itself."""


def kind_of(participant: rtc.Participant) -> str:
    """Return LiveKit's kind of a participant, as the schema names it."""
    return _KINDS.get(participant.kind, "standard")


def is_device(participant: rtc.Participant) -> bool:
    """Whether it records the room or plays a stream into it: it has no leg."""
    return kind_of(participant) in _DEVICES


def is_agent(participant: rtc.Participant) -> bool:
    """Whether it is an agent, or an avatar that publishes in an agent's place."""
    return kind_of(participant) == "agent" or ATTRIBUTE_PUBLISH_ON_BEHALF in participant.attributes


def is_person(participant: rtc.Participant) -> bool:
    """Whether the participant is a person who takes part, and so keeps a call going.

    Hidden ones, such as supervisors who listen in, are never announced by LiveKit.
    """
    return not is_device(participant) and not is_agent(participant)
