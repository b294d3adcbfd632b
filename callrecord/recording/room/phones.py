"""Phone calls: whether a phone was answered, and who called whom.

LiveKit's bridge puts a phone into the room while it still rings, and tells by attributes what goes
on: https://docs.livekit.io/reference/telephony/sip-participant/.
"""

from typing import Final

from livekit import rtc

_STATUS: Final = "sip.callStatus"
_RINGING: Final = ("dialing", "ringing")
_RULE: Final = "sip.ruleID"
"""Of a call that came in, by a dispatch rule; one that was placed has none."""


def is_phone(participant: rtc.Participant) -> bool:
    """Whether it is a phone on LiveKit's bridge."""
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def is_ringing(participant: rtc.Participant) -> bool:
    """Whether it is a phone that nobody has answered yet."""
    return is_phone(participant) and participant.attributes.get(_STATUS) in _RINGING


def unanswered(reason: "rtc.DisconnectReason.ValueType | None") -> str:
    """Return the end reason of a phone call that nobody answered."""
    match reason:
        case rtc.DisconnectReason.USER_REJECTED:
            return "rejected"
        case rtc.DisconnectReason.SIP_TRUNK_FAILURE:
            return "error"  # perhaps it has never rung
    return "no_answer"


def direction_of(participant: rtc.Participant) -> str | None:
    """Return "inbound" or "outbound" of a phone; None of anybody else."""
    if not is_phone(participant):
        return None
    return "inbound" if _RULE in participant.attributes else "outbound"


def is_answered(participant: rtc.Participant) -> bool:
    """Whether it is a phone that was answered."""
    return is_phone(participant) and not is_ringing(participant)
