"""The people of a call: who is in the room, whose phone still rings, and how the last one left."""

from dataclasses import dataclass
from datetime import datetime

from livekit import rtc

from callrecord.events import now
from callrecord.recording.room.participants import is_person, is_ringing


@dataclass(frozen=True, slots=True)
class Leave:
    """How a person left.

    Attributes:
        at: When the person left.
        reason: LiveKit's reason; None if it gave none.
        answered: Whether it was a person in the room, not a phone that still rang.
    """

    at: datetime
    reason: "rtc.DisconnectReason.ValueType | None"
    answered: bool


class People:
    """Counts people in and out.

    Attributes:
        last_left: How the last person left; None if nobody did.
        unanswered: How the last unanswered phone left; None if there was none.
    """

    def __init__(self) -> None:
        self._here: dict[str, rtc.RemoteParticipant] = {}
        self._ringing: set[str] = set()
        self.last_left: Leave | None = None
        self.unanswered: Leave | None = None

    @property
    def here(self) -> list[rtc.RemoteParticipant]:
        """The people in the room, in the order in which they joined."""
        return list(self._here.values())

    @property
    def ringing(self) -> bool:
        """Whether a phone is still ringing."""
        return bool(self._ringing)

    @property
    def gone_since(self) -> datetime | None:
        """When the last person left; None while a person is there, or if none ever joined."""
        return None if self._here or self.last_left is None else self.last_left.at

    def joined(self, participant: rtc.RemoteParticipant) -> bool:
        """Count a person in; a phone counts once it is answered.

        Returns:
            Whether it was not counted in before.
        """
        if not is_person(participant):
            return False
        if is_ringing(participant):
            self._ringing.add(participant.sid)
            return False
        self._ringing.discard(participant.sid)
        is_new = participant.sid not in self._here
        self._here[participant.sid] = participant
        return is_new

    def left(self, participant: rtc.RemoteParticipant) -> Leave | None:
        """Count a person or a ringing phone out; None for any other participant."""
        if participant.sid in self._ringing:
            self._ringing.discard(participant.sid)
            self.unanswered = Leave(now(), participant.disconnect_reason, answered=False)
            return self.unanswered
        if self._here.pop(participant.sid, None) is None:
            return None
        self.last_left = Leave(now(), participant.disconnect_reason, answered=True)
        return self.last_left
