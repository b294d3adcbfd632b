"""LiveKit's participants without a server."""

import itertools
import json
from typing import Any

from livekit import rtc
from livekit.rtc._proto import participant_pb2, track_pb2

_sids = itertools.count(1)


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
    return made


def leave(
    who: rtc.RemoteParticipant,
    reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED,
) -> rtc.RemoteParticipant:
    """Return the participant as LiveKit's client tells its leave."""
    who._info.disconnect_reason = reason
    return who


def track(
    source: rtc.TrackSource.ValueType = rtc.TrackSource.SOURCE_MICROPHONE,
) -> rtc.RemoteTrackPublication:
    """Return a publication of that source."""
    made = object.__new__(rtc.RemoteTrackPublication)
    made._info = track_pb2.TrackPublicationInfo(source=source)
    return made
