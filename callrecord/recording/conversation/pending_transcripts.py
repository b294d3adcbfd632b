"""PendingTranscripts: what the caller was heard to say and LiveKit has not committed to a turn yet.

LiveKit joins final transcripts to turns, later and at its own discretion: some it commits while
the next words are heard already, some it drops (the agent could not be interrupted, a hook stopped
the reply). What a turn took is found by its words.
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
    """One final transcript, and when it came.

    Attributes:
        speaker: Identity of the participant that was listened to while it was said.
        voice: Speech to text's own name of the voice, if it tells voices apart.
        item_id: The realtime model's item, if it is of one: its transcript may be told again.
        began: When its speech began, in seconds since 1970, if that was noticed.
        ended: When its speech ended, likewise.
        discarded_s: Seconds of the speech of which LiveKit discarded the audio.
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
        words: What the turn was made of.
        dropped: Heard before the turn's first word, and never to be committed.
        edited: Whether the turn's text is another than its words.
    """

    words: list[Piece]
    dropped: list[Piece] = field(default_factory=list)
    edited: bool = False


class PendingTranscripts:
    """Final transcripts that wait for their turn, in the order in which they came."""

    def __init__(self) -> None:
        self.waiting: list[Piece] = []

    def add(self, piece: Piece) -> None:
        """Add a transcript; a longer one of the same item takes the other's place."""
        for index, each in enumerate(self.waiting):
            if piece.item_id is not None and each.item_id == piece.item_id:
                self.waiting[index] = replace(piece, at=each.at, speaker=each.speaker)
                return
        self.waiting.append(piece)

    def has(self, turn: str) -> bool:
        """Whether a turn consists of transcripts that wait, word by word."""
        return self._find(_words(turn)) is not None

    def take(self, turn: str) -> Taken:
        """Take out what a committed turn consists of; what came after it goes on waiting.

        A turn whose words were not heard like that was edited (by `on_user_turn_completed`): it
        takes all that waits.
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
    """Whether two texts have the same words, whatever their case and spaces."""
    return _words(one) == _words(other)


def shared(one: str, other: str) -> int:
    """Return how many words two texts share."""
    return (Counter(_words(one)) & Counter(_words(other))).total()


def _words(text: str) -> list[str]:
    return text.casefold().split()


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
