"""The caller's turns: each is a message from its first final transcript on, or once typed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from livekit.agents import AgentSession, ChatMessage

from callrecord.events import Event, Message, new_id, now
from callrecord.recording.conversation.last_utterance import LastUtterance, Part
from callrecord.recording.conversation.messages import KNOWN_ITEMS, committed, when
from callrecord.recording.conversation.pending_transcripts import (
    PendingTranscripts,
    Piece,
    Speakers,
    Taken,
    notes_of,
    same_words,
    shared,
    speaker_of,
    text_of,
    times_of,
)
from callrecord.recording.current_models import CurrentModels
from callrecord.recording.recent import Recent

_ENDED_KEPT: Final = 8
"""How many turns without a reply are remembered, as LiveKit may still commit one."""


@dataclass(eq=False, slots=True)
class EndedTurn:
    """A turn that LiveKit has ended, and commits only when a reply is to follow.

    Attributes:
        message: The message that was recorded at its end.
        words: The transcripts of the turn.
        noted: Whether its message is marked as unanswered.
    """

    message: Message
    words: list[Piece]
    noted: bool = False


class CallerTurns:
    """Records what callers say and type in one session.

    Attributes:
        utterance: What the caller has said without a transcript yet.
    """

    def __init__(
        self,
        append: Callable[[Event], None],
        models: CurrentModels,
        only_person: Callable[[], str | None],
    ) -> None:
        """Record to `append`.

        Args:
            append: Gets each version of a message.
            models: The models of the session.
            only_person: Returns the identity of the person in the room, if there is only one.
        """
        self._append = append
        self._models = models
        self._pending = PendingTranscripts()
        self._draft: Message | None = None
        self._ended: list[EndedTurn] = []
        self._known: Recent[str, Message] = Recent(KNOWN_ITEMS)
        self._speakers = Speakers(only_person)
        self.utterance = LastUtterance(self._speakers.listened_to, self._missed)
        self._typed: dict[str, Message] = {}

    def follow(self, session: AgentSession[None]) -> None:
        """Set the session."""
        self._speakers.follow(session)

    def left(self, identity: str | None) -> None:
        """Note that a participant has left; None means that the room is closed."""
        if identity in (None, self._speakers.listened_to()):
            self.utterance.end()

    def came(self, identity: str) -> None:
        """Note that a participant has joined, perhaps again."""
        if identity == self._speakers.listened_to():
            self.utterance.resume()

    def end(self) -> None:
        """Mark an unfinished turn as interrupted: the call is over."""
        self._note_unanswered()
        self.utterance.close()
        if self._draft is not None:
            self._append(msgspec.structs.replace(self._draft, interrupted=True))

    def heard(self, transcript: str, voice: str | None = None, item_id: str | None = None) -> None:
        """Record what a caller said, before the turn is over.

        Args:
            transcript: The final transcript of a part of the turn.
            voice: The STT's name for the voice, if it distinguishes voices.
            item_id: The realtime model's item, if there is one.
        """
        text = transcript.strip()
        if text and self._known.get(item_id or "") is None:
            parts = self.utterance.transcribed
            self._pending.add(
                Piece(
                    text,
                    now(),
                    self.utterance.speaker(),
                    voice,
                    item_id,
                    began=parts[0].began if parts else None,
                    ended=parts[-1].ended if parts else None,
                    discarded_s=sum(part.discarded_s for part in parts),
                )
            )
            self._record_draft()

    def typed(self, item: ChatMessage) -> None:
        """Record a typed message, before LiveKit commits it as a turn."""
        draft = self._user_message(new_id(), when(item), self._speakers.of_text(item))
        draft = msgspec.structs.replace(draft, content=item.text_content or "", model=None)
        self._typed[item.id] = draft
        self._append(draft)

    def ended(self, transcript: str) -> UUID | None:
        """Record that LiveKit has ended a turn of these words, which it may commit later.

        Returns:
            The id of its message; None if these words were not heard.
        """
        if not transcript.strip() or not self._pending.has(transcript):
            return None
        self._note_unanswered()
        message_id, taken = self._take(transcript)
        message = self._user_message(message_id, taken.words[0].at, None)
        message = _timed(_spoken(message, taken.words), taken.words)
        message = msgspec.structs.replace(message, metadata=notes_of(taken.words))
        self._ended = [*self._ended[-_ENDED_KEPT:], EndedTurn(message, taken.words)]
        self._append(message)
        if self._pending.waiting:
            self._record_draft()
        return message.id

    def commit(self, item: ChatMessage) -> UUID | None:
        """Record a turn that LiveKit has committed.

        Returns:
            The id of its message, if requests are to be attributed to it: it was spoken, and was
            not recorded before.
        """
        known = self._known.get(item.id)
        if known is not None:  # the same turn again, with more words
            self._put(item, msgspec.structs.replace(known, content=item.text_content or ""))
            return None
        if item.transcript_confidence is None:
            # Typed, or added by code: what is heard meanwhile is a separate turn.
            self._commit_typed(item)
            return None
        ended = self._ended_turn(item.text_content or "")
        if ended is not None:
            self._ended.remove(ended)
            self._commit_spoken(item, ended.message.id, ended.words)
            return None
        if not (item.text_content or "").strip() and not self._pending.waiting:
            return None  # nothing was understood
        message_id, taken = self._take(item.text_content or "")
        self._commit_spoken(item, message_id, taken.words)
        if self._pending.waiting:
            self._record_draft()
        return message_id

    def _commit_spoken(self, item: ChatMessage, message_id: UUID, words: list[Piece]) -> None:
        speaker = speaker_of(words) if words else self._speakers.listened_to()
        message = committed(self._user_message(message_id, when(item), speaker), item)
        metadata = message.metadata | notes_of(words)
        if words and not same_words(text_of(words), message.content):
            metadata["heard"] = text_of(words)
        cut = self.utterance.cut
        message = msgspec.structs.replace(message, metadata=metadata, interrupted=cut)
        self._put(item, _timed(message, words))

    def _take(self, transcript: str) -> tuple[UUID, Taken]:
        """Remove a turn's words from the pending ones, and return the id of its message."""
        draft, self._draft = self._draft, None
        taken = self._pending.take(transcript)
        if draft is None or not taken.dropped:
            return (new_id() if draft is None else draft.id), taken
        # What LiveKit skipped stays as a separate turn.
        passed = _spoken(draft, taken.dropped)
        note = notes_of(taken.dropped) | {"passed_over": True}
        self._append(msgspec.structs.replace(passed, metadata=note))
        return new_id(), taken

    def _ended_turn(self, text: str) -> EndedTurn | None:
        """Return the ended turn that LiveKit commits now, if there is one."""
        for turn in self._ended:
            if same_words(turn.message.content, text):
                return turn
        if self._pending.has(text) or not self._ended or not text.strip():
            return None
        # A hook has edited the text: take the turn that shares most words with it, or else the
        # turn that has just ended. An older turn does not get the words of another one.
        most = max(reversed(self._ended), key=lambda turn: shared(turn.message.content, text))
        if 2 * shared(most.message.content, text) >= len(text.split()):
            return most
        newest = self._ended[-1]
        return None if newest.noted or self._pending.waiting else newest

    def _note_unanswered(self) -> None:
        """Mark ended turns as unanswered; LiveKit may still commit the last one."""
        for turn in self._ended:
            if not turn.noted:
                turn.noted = True
                note = turn.message.metadata | {"unanswered": True}
                self._append(msgspec.structs.replace(turn.message, metadata=note))

    def _missed(self, part: Part) -> None:
        """Record that the caller spoke, but that LiveKit discarded the audio."""
        began, ended = (datetime.fromtimestamp(each, UTC) for each in (part.began, part.ended))
        metadata = {"kind": "missed_speech", "cause": part.cause}
        message = Message(
            id=new_id(),
            role="system",
            content="",
            at=began,
            participant_identity=part.speaker,
            speech_started_at=began,
            speech_ended_at=ended,
            metadata=metadata,
        )
        self._append(message)

    def _put(self, item: ChatMessage, message: Message) -> None:
        self._known.put(item.id, message)
        self._append(message)

    def _commit_typed(self, item: ChatMessage) -> None:
        draft = self._typed.pop(item.id, None)
        message_id = new_id() if draft is None else draft.id
        message = self._user_message(message_id, when(item), self._speakers.of_text(item))
        self._put(item, msgspec.structs.replace(committed(message, item), model=None))

    def _record_draft(self) -> None:
        waiting = self._pending.waiting
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
            model=hearing.model if (hearing := self._models.now().stt) else None,
            metadata={"final": False},
        )


def _spoken(draft: Message, pieces: list[Piece]) -> Message:
    return msgspec.structs.replace(
        draft,
        content=text_of(pieces),
        participant_identity=speaker_of(pieces),
        metadata={"final": False} | notes_of(pieces),
    )


def _timed(message: Message, words: list[Piece]) -> Message:
    """Return the message with the times of its speech, if LiveKit reports none.

    For a realtime model's turns LiveKit reports the start at most; for turns that it does not
    commit it reports nothing.
    """
    times = times_of(words)
    if message.speech_ended_at is not None or times is None:
        return message
    began, ended = (datetime.fromtimestamp(each, UTC) for each in times)
    began = message.speech_started_at or began
    if ended < began:
        return message
    return msgspec.structs.replace(message, speech_started_at=began, speech_ended_at=ended)
