"""LiveKit's participants without a server."""

import itertools
import json
from typing import Any

from livekit import rtc
from livekit.rtc._proto import participant_pb2, track_pb2

_sids = itertools.count(1)

ROOM_CLOSED = {"ROOM_DELETED", "ROOM_CLOSED", "PARTICIPANT_REMOVED"}
DISCONNECTED = {
    name: None if name == "CLIENT_INITIATED" else "room_closed" if name in ROOM_CLOSED else "error"
    for name in rtc.DisconnectReason.keys()  # noqa: SIM118 - an enum of protobuf's
}
"""Every reason for which LiveKit disconnects an agent, and how a call ends of which a caller was
there; None: the agent has left by itself, and its job says why."""


def participant(
    identity: str = "ada",
    *,
    kind: "rtc.ParticipantKind.ValueType" = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    metadata: str | dict[str, Any] = "",
    attributes: dict[str, str] | None = None,
    sid: str | None = None,
) -> rtc.RemoteParticipant:
    """Return a participant as LiveKit's client makes it from the server's word."""
    made = object.__new__(rtc.RemoteParticipant)  # its constructor wants a handle of the library
    made._info = participant_pb2.ParticipantInfo(
        sid=sid or f"PA_{next(_sids)}",
        identity=identity,
        name=identity.title(),
        metadata=metadata if isinstance(metadata, str) else json.dumps(metadata),
        attributes=attributes or {},
        kind=kind,
    )
    made._track_publications = {}
    return made


def leave(
    who: rtc.RemoteParticipant,
    reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED,
) -> rtc.RemoteParticipant:
    """Return the participant as LiveKit's client tells its leave."""
    who._info.disconnect_reason = reason
    return who


def publish(
    who: rtc.RemoteParticipant,
    source: rtc.TrackSource.ValueType = rtc.TrackSource.SOURCE_MICROPHONE,
    *,
    muted: bool = False,
) -> rtc.RemoteTrackPublication:
    """Give the participant a track of that source, as LiveKit's client tells it."""
    made = object.__new__(rtc.RemoteTrackPublication)
    made._info = track_pb2.TrackPublicationInfo(sid=f"TR_{next(_sids)}", source=source, muted=muted)
    who._track_publications[made.sid] = made
    return made


def free_to_change(who: rtc.RemoteParticipant) -> rtc.RemoteParticipant:
    """Return the participant with a grant that lets it write its own metadata."""
    who._info.permission.can_update_metadata = True
    return who


def renamed(who: rtc.RemoteParticipant, name: str) -> rtc.RemoteParticipant:
    """Return the participant as LiveKit's client tells a change of its name."""
    who._info.name = name
    return who


def described(
    who: rtc.RemoteParticipant,
    *,
    metadata: str | None = None,
    attributes: dict[str, str] | None = None,
) -> rtc.RemoteParticipant:
    """Return the participant as LiveKit's client tells new metadata or attributes."""
    if metadata is not None:
        who._info.metadata = metadata
    if attributes is not None:
        who._info.attributes.clear()
        who._info.attributes.update(attributes)
    return who
