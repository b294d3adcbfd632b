"""The caller's turns: each a message from its first final transcript on, or as it is typed."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
from livekit.agents import AgentSession, ChatMessage

from callrecord.db.events import Event, Message, new_id, now
from callrecord.recording.hearing import Hearing, Piece, text_of
from callrecord.recording.last_utterance import LastUtterance
from callrecord.recording.messages import committed, when
from callrecord.recording.speakers import Speakers, speaker_of, voices_of


class CallerTurns:
    """Records what callers say and type in one session.

    Attributes:
        utterance: What the caller has said and no transcript tells yet.
    """

    def __init__(self, append: Callable[[Event], None]) -> None:
        """Record by `append`."""
        self._append = append
        self._session: AgentSession[None] | None = None
        self._hearing = Hearing()
        self._draft: Message | None = None
        self._speakers = Speakers()
        self.utterance = LastUtterance()
        self._typed: dict[str, Message] = {}

    def follow(self, session: AgentSession[None]) -> None:
        """Name the session."""
        self._session = session
        self._speakers.follow(session)

    def left(self, identity: str | None) -> None:
        """Note that a participant has left, or with None that the room is closed."""
        if identity in (None, self._speakers.listened_to()):
            self.utterance.end()

    def came(self, identity: str) -> None:
        """Note that a participant has come, perhaps again."""
        if identity == self._speakers.listened_to():
            self.utterance.resume()

    def end(self) -> None:
        """Mark what the end of the call leaves uncommitted: it was cut."""
        if self._draft is not None:
            self._append(msgspec.structs.replace(self._draft, interrupted=True))

    def heard(self, transcript: str, voice: str | None = None) -> None:
        """Record what a caller said, before the turn is over.

        Args:
            transcript: Final, of a part of the turn.
            voice: Speech to text's own name of the voice, if it tells voices apart.
        """
        text = transcript.strip()
        if text:
            self._hearing.add(Piece(text, now(), self._speakers.listened_to(), voice))
            self._record_draft()

    def typed(self, item: ChatMessage) -> None:
        """Record what somebody typed, before LiveKit takes it for a turn."""
        draft = self._user_message(new_id(), when(item), self._speakers.of_text(item))
        draft = msgspec.structs.replace(draft, content=item.text_content or "", model=None)
        self._typed[item.id] = draft
        self._append(draft)

    def commit(self, item: ChatMessage) -> UUID | None:
        """Record a turn that LiveKit has committed; return its message if it was spoken."""
        if item.transcript_confidence is None:
            # Typed, or put in by code: what is being heard meanwhile is a turn of its own.
            self._commit_typed(item)
            return None
        draft, self._draft = self._draft, None
        taken = self._hearing.take(item.text_content or "")
        message_id = new_id() if draft is None else draft.id
        if draft is not None and taken.dropped:
            # What LiveKit passed over stays, as a turn of its own.
            passed = _spoken(draft, taken.dropped)
            self._append(
                msgspec.structs.replace(passed, metadata=passed.metadata | {"passed_over": True})
            )
            message_id = new_id()
        speaker = speaker_of(taken.words) if taken.words else self._speakers.listened_to()
        message = committed(self._user_message(message_id, when(item), speaker), item)
        metadata = message.metadata | voices_of(taken.words)
        if taken.edited:
            metadata["heard"] = text_of(taken.words)
        cut = self.utterance.cut
        self._append(msgspec.structs.replace(message, metadata=metadata, interrupted=cut))
        if self._hearing.waiting:
            self._record_draft()
        return message_id

    def _commit_typed(self, item: ChatMessage) -> None:
        draft = self._typed.pop(item.id, None)
        message_id = new_id() if draft is None else draft.id
        message = self._user_message(message_id, when(item), self._speakers.of_text(item))
        self._append(msgspec.structs.replace(committed(message, item), model=None))

    def _record_draft(self) -> None:
        waiting = self._hearing.waiting
        if self._draft is None:
            self._draft = self._user_message(new_id(), waiting[0].at, None)
        self._draft = _spoken(self._draft, waiting)
        self._append(self._draft)

    def _user_message(self, message_id: UUID, at: datetime, speaker: str | None) -> Message:
        return Message(
            id=message_id,
            role="user",
            content="",
            at=at,
            participant_identity=speaker,
            model=self._session.stt.model if self._session and self._session.stt else None,
            metadata={"final": False},
        )


def _spoken(draft: Message, pieces: list[Piece]) -> Message:
    return msgspec.structs.replace(
        draft,
        content=text_of(pieces),
        participant_identity=speaker_of(pieces),
        metadata={"final": False} | voices_of(pieces),
    )
