"""Hearing: what the caller was heard to say and LiveKit has not committed to a turn yet.

LiveKit joins final transcripts to turns, later and at its own discretion: some it commits while
the next words are heard already, some it drops (the agent could not be interrupted, a hook stopped
the reply). What a turn took is found by its words.
"""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Piece:
    """One final transcript, and when it came."""

    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """How a committed turn relates to what was heard.

    Attributes:
        dropped: Heard before the turn's first word, and never to be committed.
        edited: What was heard in place of the turn's text; empty if it was heard as committed.
    """

    dropped: list[Piece] = field(default_factory=list)
    edited: list[Piece] = field(default_factory=list)


class Hearing:
    """Final transcripts that wait for their turn, in the order in which they came."""

    def __init__(self) -> None:
        self.waiting: list[Piece] = []

    def add(self, text: str, at: datetime) -> None:
        """Add a transcript."""
        self.waiting.append(Piece(text, at))

    def take(self, turn: str) -> Taken:
        """Take out what a committed turn consists of; what came after it goes on waiting.

        A turn whose words were not heard like that was edited (by `on_user_turn_completed`): it
        takes all that waits.
        """
        found = self._find(_words(turn))
        if found is None:
            taken, self.waiting = Taken(edited=self.waiting), []
            return taken
        first, end = found
        taken, self.waiting = Taken(dropped=self.waiting[:first]), self.waiting[end:]
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


def _words(text: str) -> list[str]:
    return text.casefold().split()
