"""Pending transcripts: what the caller was heard to say, not yet committed to a turn by LiveKit.

LiveKit joins final transcripts to turns later. It commits some while the next words are already
heard, and drops others (the agent could not be interrupted, a hook stopped the reply). The
transcripts of a turn are found by its words.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from livekit.agents import AgentSession, ChatMessage

from callrecord.recording.conversation.messages import SENDER


@dataclass(frozen=True, slots=True)
class Piece:
    """One final transcript, and when it arrived.

    Attributes:
        speaker: Identity of the participant that was listened to while it was said.
        voice: The STT's name for the voice, if it distinguishes voices.
        item_id: The realtime model's item, if there is one: its transcript may be repeated.
        began: When its speech began, in seconds since 1970, if that was noticed.
        ended: When its speech ended, in seconds since 1970, if that was noticed.
        discarded_s: Seconds of the speech whose audio LiveKit discarded.
    """

    text: str
    at: datetime
    speaker: str | None = None
    voice: str | None = None
    item_id: str | None = None
    began: float | None = None
    ended: float | None = None
    discarded_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Taken:
    """How a committed turn relates to what was heard.

    Attributes:
        words: The transcripts of the turn.
        dropped: Transcripts from before the turn's first word, which are never committed.
        edited: Whether the turn's text differs from its words.
    """

    words: list[Piece]
    dropped: list[Piece] = field(default_factory=list)
    edited: bool = False


class PendingTranscripts:
    """Final transcripts that wait for their turn, in the order in which they arrived."""

    def __init__(self) -> None:
        self.waiting: list[Piece] = []

    def add(self, piece: Piece) -> None:
        """Add a transcript; a later one of the same item replaces the earlier one."""
        for index, each in enumerate(self.waiting):
            if piece.item_id is not None and each.item_id == piece.item_id:
                self.waiting[index] = replace(piece, at=each.at, speaker=each.speaker)
                return
        self.waiting.append(piece)

    def has(self, turn: str) -> bool:
        """Whether a turn consists of waiting transcripts, word by word."""
        return self._find(_words(turn)) is not None

    def take(self, turn: str) -> Taken:
        """Remove the transcripts of a committed turn; later ones go on waiting.

        A turn with other words than those heard was edited (by `on_user_turn_completed`): it takes
        all waiting transcripts.
        """
        found = self._find(_words(turn))
        if found is None:
            taken, self.waiting = Taken(self.waiting, edited=bool(self.waiting)), []
            return taken
        first, end = found
        taken = Taken(self.waiting[first:end], dropped=self.waiting[:first])
        self.waiting = self.waiting[end:]
        return taken

    def _find(self, turn: list[str]) -> tuple[int, int] | None:
        words = [_words(piece.text) for piece in self.waiting]
        for first in range(len(words)):
            joined: list[str] = []
            for end in range(first, len(words)):
                joined += words[end]
                if joined == turn:
                    return first, end + 1
                if len(joined) > len(turn):
                    break
        return None


def text_of(pieces: list[Piece]) -> str:
    """Return the pieces as one text, joined as LiveKit joins them."""
    return " ".join(piece.text for piece in pieces)


def times_of(pieces: list[Piece]) -> tuple[float, float] | None:
    """Return when the speech of these pieces began and ended; None if it was not noticed."""
    began = [piece.began for piece in pieces if piece.began is not None]
    ended = [piece.ended for piece in pieces if piece.ended is not None]
    return (min(began), max(ended)) if began and ended else None


def same_words(one: str, other: str) -> bool:
    """Whether two texts have the same words, apart from case and spaces."""
    return _words(one) == _words(other)


def shared(one: str, other: str) -> int:
    """Return how many words two texts share."""
    return (Counter(_words(one)) & Counter(_words(other))).total()


def _words(text: str) -> list[str]:
    return text.casefold().split()


class Speakers:
    """Knows which participant a session listens to."""

    def __init__(self, only_person: Callable[[], str | None] = lambda: None) -> None:
        """`only_person` returns the identity of the person in the room, if there is only one."""
        self._only_person = only_person
        self._session: AgentSession[None] | None = None
        self._last: str | None = None

    def follow(self, session: AgentSession[None]) -> None:
        """Set the session."""
        self._session = session

    def listened_to(self) -> str | None:
        """Return the identity of the participant that the session listens to, or last did."""
        try:
            linked = self._session.room_io.linked_participant if self._session else None
        except RuntimeError:  # a session without a room, such as the console's
            linked = None
        if linked is not None:
            self._last = linked.identity
        # With an app's own RoomIO, the session does not know whom it listens to.
        return self._last or self._only_person()

    def of_text(self, item: ChatMessage) -> str | None:
        """Return the sender of a message; by default, the participant that is listened to."""
        sender = item.extra.get(SENDER)
        return sender if isinstance(sender, str) else self.listened_to()


def speaker_of(pieces: list[Piece]) -> str | None:
    """Return the speaker of these words; None if there are several."""
    speakers = {piece.speaker for piece in pieces}
    return speakers.pop() if len(speakers) == 1 else None


def notes_of(pieces: list[Piece]) -> dict[str, Any]:
    """Return the metadata of these words.

    Returns:
        `speaker_ids`: the voices that the STT distinguishes; `discarded_ms`: how much audio of the
        speech LiveKit discarded, so that words may be missing.
    """
    voices = list(dict.fromkeys(piece.voice for piece in pieces if piece.voice))
    discarded_ms = round(sum(piece.discarded_s for piece in pieces) * 1000)
    notes: dict[str, Any] = {"speaker_ids": voices} if voices else {}
    return notes | ({"discarded_ms": discarded_ms} if discarded_ms else {})
