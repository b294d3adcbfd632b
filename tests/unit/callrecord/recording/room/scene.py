"""A room without a server: people are counted in and out, as a recording does it."""

from livekit import rtc

from callrecord.recording.room.ending import End, Ending
from callrecord.recording.room.people import Leave, People


class Scene:
    """The people of a call, and how it ends."""

    def __init__(self) -> None:
        self.people = People()
        self.ending = Ending(self.people)

    def joined(self, participant: rtc.RemoteParticipant) -> bool:
        """Count somebody in."""
        return self.people.joined(participant)

    def left(self, participant: rtc.RemoteParticipant) -> Leave | None:
        """Count somebody out, unless the agent is out of the room."""
        return None if self.ending.is_disconnected else self.people.left(participant)

    def disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        """Take the agent out of the room."""
        self.ending.disconnected(reason)

    def end(self, shutdown_reason: str, cut_reason: str = "drained") -> End:
        """Return how the call ended."""
        return self.ending.end(shutdown_reason, cut_reason)
