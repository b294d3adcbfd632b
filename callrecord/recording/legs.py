"""Legs: each stay of a participant in the room, from join to leave."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from livekit import rtc

from callrecord.db.events import Event, Leg, ParticipantType, new_id, now

_KINDS = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD: "standard",
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP: "sip",
    rtc.ParticipantKind.PARTICIPANT_KIND_AGENT: "agent",
    rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS: "egress",
    rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS: "ingress",
    rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR: "connector",
}
_HUMAN = ("standard", "sip", "connector")
_NOBODY = ("egress", "ingress")


def kind_of(participant: rtc.Participant) -> str:
    """Return LiveKit's kind of a participant, as the schema names it."""
    return _KINDS.get(participant.kind, "standard")


def is_human(participant: rtc.Participant) -> bool:
    """Whether the participant is a person, and so keeps a call going."""
    return kind_of(participant) in _HUMAN


class Legs:
    """Records legs. LiveKit's events may come late, twice, or before one listens."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append = append
        self._open: dict[str, Leg] = {}
        self._seen: set[str] = set()

    def joined(self, participant: rtc.Participant) -> None:
        """Begin a leg; the same join told twice (an event and a listing) begins one only."""
        if participant.sid in self._seen or kind_of(participant) in _NOBODY:
            return
        user_id, metadata = _identity(participant)
        leg = Leg(
            id=new_id(),
            identity=participant.identity,
            name=participant.name,
            participant_type=_type_of(participant),
            kind=kind_of(participant),
            sid=participant.sid,
            user_id=user_id,
            joined_at=now(),
            metadata=metadata,
        )
        self._seen.add(participant.sid)
        self._open[participant.sid] = leg
        self._append(leg)

    def left(self, participant: rtc.Participant) -> None:
        """End the participant's leg; begin it too if its join was never told."""
        self.joined(participant)
        leg = self._open.pop(participant.sid, None)
        if leg is None:
            return
        reason = participant.disconnect_reason
        name = None if reason is None else rtc.DisconnectReason.Name(reason).lower()
        self._append(msgspec.structs.replace(leg, left_at=now(), disconnect_reason=name))

    def muted(
        self, participant: rtc.Participant, track: rtc.TrackPublication, *, value: bool
    ) -> None:
        """Note that the participant's microphone was muted or unmuted."""
        leg = self._open.get(participant.sid)
        if leg is None or track.source != rtc.TrackSource.SOURCE_MICROPHONE:
            return
        self._open[participant.sid] = msgspec.structs.replace(leg, is_muted=value)
        self._append(self._open[participant.sid])

    def close(self, at: datetime) -> None:
        """End all legs that are still open: the call is over."""
        for leg in self._open.values():
            self._append(msgspec.structs.replace(leg, left_at=max(at, leg.joined_at)))
        self._open.clear()


def _type_of(participant: rtc.Participant) -> ParticipantType:
    return "agent" if kind_of(participant) == "agent" else "user"


def _identity(participant: rtc.Participant) -> tuple[UUID | None, dict[str, Any]]:
    """Return the user id of signed token metadata, and what is kept besides.

    An id that is no uuid is kept in the metadata: it is never an error.
    """
    kept: dict[str, Any] = {}
    if participant.attributes:
        kept["attributes"] = dict(participant.attributes)
    try:
        told = json.loads(participant.metadata) if participant.metadata else {}
    except ValueError:
        return None, kept | {"raw": participant.metadata}
    if not isinstance(told, dict):
        return None, kept | {"raw": participant.metadata}
    user_id = told.pop("userId", None)
    try:
        return UUID(str(user_id)) if user_id else None, kept | told
    except ValueError:
        return None, kept | told | {"userId": user_id}
