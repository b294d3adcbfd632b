"""The agent's turns: each is a message from its first sentence on, even if nobody hears its end."""

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from livekit.agents import AgentSession, ChatMessage, FunctionCall, FunctionCallOutput
from livekit.agents.voice import SpeechHandle

from callrecord.events import Event, Message, new_id, now
from callrecord.recording.conversation.audience import Audience
from callrecord.recording.conversation.drafting import Drafting
from callrecord.recording.conversation.messages import KNOWN_ITEMS, committed, when
from callrecord.recording.conversation.spoken import spoken
from callrecord.recording.current_models import CurrentModels
from callrecord.recording.recent import Recent
from callrecord.recording.usage.ledger import Ledger
from callrecord.recording.usage.reconciliation import UsedModels


class AgentTurns:
    """Records what the agent says in one session, speech by speech.

    Attributes:
        agent: The agent's identity in the room, once it is known.
        speeches: The speeches that are not over, by id.
        written_at: When the last piece of a reply was written, by the monotonic clock.
    """

    def __init__(
        self,
        append: Callable[[Event], None],
        ledger: Ledger,
        used: UsedModels,
        written: Callable[[str], str],
        models: CurrentModels,
    ) -> None:
        """Record to `append`.

        Args:
            append: Gets each version of a message.
            ledger: Attributes the session's requests to its messages.
            used: Counts replies by the models they used.
            written: Returns what a model wrote for a speech since the last call.
            models: The models of the session.
        """
        self._append = append
        self._ledger = ledger
        self._written = written
        self._used = used
        self._models = models
        self._session: AgentSession[None] | None = None
        self.speeches: dict[str, SpeechHandle] = {}
        self._began: dict[str, float] = {}
        self._scripted: set[str] = set()
        self._replies: dict[str, Message] = {}
        self._drafts: dict[str, Drafting] = {}
        self._sounded: set[str] = set()
        self._played: dict[str, float] = {}
        self._audience = Audience()
        self._notes: dict[str, dict[str, Any]] = {}
        self._known: Recent[str, Message] = Recent(KNOWN_ITEMS)
        self.agent: str | None = None
        self.written_at = 0.0

    def follow(self, session: AgentSession[None]) -> None:
        """Set the session."""
        self._session = session

    def end(self) -> None:
        """Mark the uncommitted replies as interrupted: the call is over."""
        for reply in self._replies.values():
            self._append(msgspec.structs.replace(reply, interrupted=True))

    def speech_created(self, speech: SpeechHandle, *, scripted: bool) -> None:
        """Track a speech to its end. A scripted one (`say`) has no words of a language model."""
        self.speeches[speech.id] = speech
        self._began[speech.id] = time.time()
        if scripted:
            self._scripted.add(speech.id)

    def saying(self, piece: str | None) -> None:
        """Record what the agent is about to say in a reply that is not committed yet.

        Args:
            piece: The next piece of the text; None at its end.
        """
        speech_id = self.current()
        if speech_id is None:
            return
        if piece is not None:
            self.written_at = time.monotonic()
        drafting = self._drafts.setdefault(speech_id, Drafting())
        if drafting.add(piece) if piece is not None else drafting.rest():
            drafting.recorded()
            reply = self._replies.get(speech_id) or self._message(new_id(), now(), speech_id)
            if speech_id in self._sounded and reply.speech_started_at is None:
                reply = msgspec.structs.replace(reply, speech_started_at=now())
            reply = msgspec.structs.replace(reply, content=self._spoken(drafting.text))
            self._replies[speech_id] = reply
            self._append(reply)

    def sounding(self) -> None:
        """Note that the current speech can be heard from now on."""
        speech_id = self.current()
        if speech_id is None or speech_id in self._sounded:
            return
        self._sounded.add(speech_id)
        if self._is_audible():
            self._audience.sounds(speech_id)
        reply = self._replies.get(speech_id)
        if reply is not None:  # shows what was heard if the job dies
            self._replies[speech_id] = msgspec.structs.replace(reply, speech_started_at=now())
            self._append(self._replies[speech_id])

    def deserted(self) -> None:
        """Note that the last person has left: nobody hears what is said from now on."""
        self._audience.leaves(self.current() if self._is_audible() else None)

    def joined(self) -> None:
        """Note that a person is in the room and hears what is said."""
        self._audience.joins()

    def played(self, seconds: float) -> None:
        """Note how much of the current speech was played since its last message."""
        if (speech_id := self.current()) is not None:
            self._played[speech_id] = self._played.get(speech_id, 0.0) + seconds

    def note(self, speech_id: str, metadata: dict[str, Any]) -> None:
        """Set a note on a speech, which is kept in its message's metadata."""
        self._notes[speech_id] = metadata

    def announced(self, text: str, metadata: dict[str, Any]) -> None:
        """Record what is said to the room outside any session."""
        message = self._message(new_id(), now(), None)
        self._append(msgspec.structs.replace(message, content=text, model=None, metadata=metadata))

    def commit(self, item: ChatMessage) -> None:
        """Record a turn that LiveKit has committed; a second commit updates the same turn."""
        known = self._known.get(item.id)
        if known is not None:
            text, cut = self._spoken(item.text_content or ""), item.interrupted
            message = msgspec.structs.replace(known, content=text, interrupted=cut)
            self._known.put(item.id, message)
            self._append(message)
            self._ledger.answer((), message)
            return
        speech_id = self.current()
        reply = self._replies.pop(speech_id, None) if speech_id else None
        draft = self._drafts.pop(speech_id or "", None)
        message_id = reply.id if reply else new_id()
        message = self._message(message_id, when(item), speech_id)
        message = committed(message, item, self._began.get(speech_id or ""))
        heard = self._spoken(message.content)
        message = msgspec.structs.replace(
            message,
            content=heard,
            generated_content=self._beyond(heard, speech_id, draft, cut=item.interrupted),
            audio_duration_ms=self._audio_ms(speech_id),
        )
        message = self._audience.heard(speech_id, message)
        if (note := self._notes.get(speech_id or "")) is not None:
            message = msgspec.structs.replace(message, metadata=message.metadata | note)
        self._known.put(item.id, message)
        # Before the ledger, so that the message exists when its requests name it.
        self._append(message)
        if speech_id is not None and speech_id not in self._scripted:
            self._used.answered(aloud=speech_id in self._sounded and self._is_audible())
        self._ledger.answer(item.metrics.get("provider_request_ids", []), message)
        if speech_id is not None:
            self._sounded.discard(speech_id)  # the next step of this speech starts silent
            self._ledger.settle(speech_id, message)

    def speech_done(self, speech: SpeechHandle) -> None:
        """Finish a speech: record its last requests, and words that were never heard."""
        self.speeches.pop(speech.id, None)
        reply = self._replies.pop(speech.id, None)
        message = self._ledger.last(speech.id)
        rest = self._uncommitted(reply, self._drafts.pop(speech.id, None), speech)
        if rest is not None:
            message = rest
            self._append(message)
        self._began.pop(speech.id, None)
        self._played.pop(speech.id, None)
        self._scripted.discard(speech.id)
        self._sounded.discard(speech.id)
        self._audience.forget(speech.id)
        self._notes.pop(speech.id, None)
        if message is not None:
            self._ledger.settle(speech.id, message)
        elif not speech.scheduled:
            self._ledger.discard(speech.id)  # generated before the turn's end, and discarded

    def current(self) -> str | None:
        """Return the id of the current speech."""
        speech = self._session.current_speech if self._session else None
        return speech.id if speech else None

    def speech_of(self, call: FunctionCall) -> str | None:
        """Return the speech in which a function was called."""
        # A tool runs after the words before it were spoken: by then another speech may be current.
        for speech_id, speech in reversed(self.speeches.items()):
            # A rejected call has only an output.
            items = speech.chat_items
            calls = (item for item in items if isinstance(item, FunctionCall | FunctionCallOutput))
            if any(item.call_id == call.call_id for item in calls):
                return speech_id
        return None

    def _uncommitted(
        self, reply: Message | None, draft: Drafting | None, speech: SpeechHandle
    ) -> Message | None:
        if reply is not None and speech.id in self._sounded:
            # It was heard but kept out of the model's context: `say(..., add_to_chat_ctx=False)`.
            reply = msgspec.structs.replace(
                reply,
                interrupted=speech.interrupted,
                audio_duration_ms=self._audio_ms(speech.id),
                metadata={},
            )
            return self._audience.heard(speech.id, reply)
        # It was interrupted before its first sound: LiveKit commits no item, but it is billed.
        written = self._beyond("", speech.id, draft, cut=True)
        if reply is None and (written is None or not (speech.scheduled and speech.interrupted)):
            return None
        return msgspec.structs.replace(
            reply or self._message(new_id(), now(), speech.id),
            content="",
            generated_content=written,
            interrupted=True,
            metadata={"unheard": True},
        )

    def _beyond(
        self, heard: str, speech_id: str | None, draft: Drafting | None, *, cut: bool
    ) -> str | None:
        """Return the whole text that was written for a turn, if its words differ from `heard`."""
        written = self._written(speech_id) if speech_id is not None else ""
        if not written and cut and draft is not None:  # scripted, or by a realtime model
            written = draft.text
        same = self._spoken(written).split() == heard.split()
        return None if same else written.strip() or None

    def _spoken(self, text: str) -> str:
        """Return what is heard of a text: a separate voice does not speak its directions."""
        session = self._session
        if session is None or not self._is_audible() or self._models.now().realtime is not None:
            return text.strip()
        return spoken(text, session.options.tts_text_transforms)

    def _audio_ms(self, speech_id: str | None) -> int | None:
        played = self._played.pop(speech_id or "", None)
        return None if played is None else round(played * 1000)

    def _message(self, message_id: UUID, at: datetime, speech_id: str | None) -> Message:
        return Message(
            id=message_id,
            role="assistant",
            content="",
            at=at,
            participant_identity=self.agent,
            speech_id=speech_id,
            model=self._model(scripted=speech_id in self._scripted),
            metadata={"final": False},
        )

    def _is_audible(self) -> bool:
        """Whether there is audio at all: LiveKit calls a text-only reply "spoken" too."""
        output = self._session.output if self._session else None
        return output is not None and output.audio is not None and output.audio_enabled

    def _model(self, *, scripted: bool) -> str | None:
        models = self._models.now()
        maker = models.tts if scripted else models.llm
        return maker.model if maker else None
