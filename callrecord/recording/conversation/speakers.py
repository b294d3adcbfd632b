"""Speakers: who said what LiveKit heard.

A session hears one participant at a time, the one it is linked to. Words of two of them in one
turn, and of a session without a room, are nobody's: what is not known is not guessed.
"""

from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, ChatMessage

from callrecord.recording.conversation.messages import SENDER
from callrecord.recording.conversation.pending_transcripts import Piece


class Speakers:
    """Knows whom a session listens to."""

    def __init__(self, only_person: Callable[[], str | None] = lambda: None) -> None:
        """`only_person` names who is in the room, if it is one person."""
        self._only_person = only_person
        self._session: AgentSession[None] | None = None
        self._last: str | None = None

    def follow(self, session: AgentSession[None]) -> None:
        """Name the session."""
        self._session = session

    def listened_to(self) -> str | None:
        """Return the identity that is listened to, or was until it left."""
        try:
            linked = self._session.room_io.linked_participant if self._session else None
        except RuntimeError:  # a session without a room, such as the console's
            linked = None
        if linked is not None:
            self._last = linked.identity
        # An app that makes its own RoomIO tells nobody whom it listens to.
        return self._last or self._only_person()

    def of_text(self, item: ChatMessage) -> str | None:
        """Return who typed a message: LiveKit takes text of the one it listens to."""
        sender = item.extra.get(SENDER)
        return sender if isinstance(sender, str) else self.listened_to()


def speaker_of(pieces: list[Piece]) -> str | None:
    """Return the one speaker of these words; None if they are of several."""
    speakers = {piece.speaker for piece in pieces}
    return speakers.pop() if len(speakers) == 1 else None


def notes_of(pieces: list[Piece]) -> dict[str, Any]:
    """Return what is known of these words besides, as metadata.

    Returns:
        `speaker_ids`: the voices that speech to text can tell apart; `discarded_ms`: for how long
        of the speech LiveKit discarded the audio, so that words may be missing.
    """
    voices = list(dict.fromkeys(piece.voice for piece in pieces if piece.voice))
    discarded_ms = round(sum(piece.discarded_s for piece in pieces) * 1000)
    notes: dict[str, Any] = {"speaker_ids": voices} if voices else {}
    return notes | ({"discarded_ms": discarded_ms} if discarded_ms else {})
