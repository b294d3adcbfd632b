"""Turns: what the caller said and what the agent said, each a message from its first word on.

A turn is recorded before LiveKit commits it, and again when more is known: the caller's from its
first final transcript, the agent's from its first sentence. So a call that is killed in mid-word
keeps what was said until then.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from livekit.agents import AgentSession, ChatMessage, FunctionCall, FunctionCallOutput
from livekit.agents.llm import AgentHandoff, RealtimeModel
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from callrecord.db.events import Event, Message, Usage, new_id, now
from callrecord.recording.account import Account
from callrecord.recording.agents import ConfigUpdates, handoff
from callrecord.recording.hearing import Hearing, Piece, text_of
from callrecord.recording.last_utterance import LastUtterance
from callrecord.recording.ledger import HEARD
from callrecord.recording.messages import committed, when
from callrecord.recording.metrics import usage_of
from callrecord.recording.speakers import Speakers, speaker_of, voices_of
from callrecord.recording.tools import Tools
from callrecord.recording.used_models import UsedModels


class Turns:
    """Records messages of one session, with what they cost.

    Attributes:
        agent: The agent's identity in the room, once it is known.
        utterance: What the caller has said and no transcript tells yet.
    """

    def __init__(
        self,
        append: Callable[[Event], None],
        written: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Record by `append`; `written` tells what a model wrote for a speech since last asked."""
        self._append = append
        self._written = written
        self._account = Account(append)
        self._used = UsedModels()
        self._untold = 0
        self._tools = Tools(append)
        self._config = ConfigUpdates()
        self._session: AgentSession[None] | None = None
        self._hearing = Hearing()
        self._draft: Message | None = None
        self._speeches: dict[str, SpeechHandle] = {}
        self._began: dict[str, float] = {}
        self._scripted: set[str] = set()
        self._replies: dict[str, Message] = {}
        self._sounded: set[str] = set()
        self._played: dict[str, float] = {}
        self._speakers = Speakers()
        self.utterance = LastUtterance()
        self._typed: dict[str, Message] = {}
        self._unpaid: UUID | None = None
        self._notes: dict[str, dict[str, Any]] = {}
        self.agent: str | None = None

    @property
    def session(self) -> AgentSession[None] | None:
        """The session whose turns these are."""
        return self._session

    def follow(self, session: AgentSession[None]) -> None:
        """Name the session whose turns these are."""
        self._session = session
        self._used.follow(session)
        self._tools.follow(session)
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
        self._look_at_config()
        self._tools.end()
        model = self._session.llm if self._session is not None else None
        if isinstance(model, RealtimeModel):
            self._untold = self._account.close(model.provider, model.model)
        for draft in (self._draft, *self._replies.values()):
            if draft is not None:
                self._append(msgspec.structs.replace(draft, interrupted=True))

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

    def saying(self, text: str) -> None:
        """Record what the agent is about to say, of a reply not yet committed."""
        speech_id = self._current()
        if speech_id is None or not text.strip():
            return
        reply = self._replies.get(speech_id)
        if reply is None:
            reply = self._agent_message(new_id(), now(), speech_id)
        reply = msgspec.structs.replace(reply, content=(reply.content + text).lstrip())
        self._replies[speech_id] = reply
        self._append(reply)

    def item_added(self, item: ChatMessage) -> None:
        """Record a turn that LiveKit has committed."""
        if item.role == "user":
            self._commit_user(item)
        elif item.role == "assistant":
            self._commit_assistant(item)
        else:
            self._append(
                Message(id=new_id(), role="system", content=item.text_content or "", at=when(item))
            )
        self._look_at_config()

    def note(self, speech_id: str, metadata: dict[str, Any]) -> None:
        """Give what is said in a speech a note, kept in its message's metadata."""
        self._notes[speech_id] = metadata

    def announced(self, text: str, metadata: dict[str, Any]) -> None:
        """Record what is said to the room besides any session."""
        message = self._agent_message(new_id(), now(), None)
        self._append(msgspec.structs.replace(message, content=text, model=None, metadata=metadata))

    def speech_created(self, speech: SpeechHandle, *, scripted: bool) -> None:
        """Follow a speech to its end. A scripted one (`say`) has no language model's words."""
        self._speeches[speech.id] = speech
        self._began[speech.id] = time.time()
        if scripted:
            self._scripted.add(speech.id)

    def sounding(self) -> None:
        """Note that the current speech can be heard from now on."""
        if (speech_id := self._current()) is not None:
            self._sounded.add(speech_id)

    def played(self, seconds: float) -> None:
        """Note how much of the current speech was played since its last message."""
        if (speech_id := self._current()) is not None:
            self._played[speech_id] = self._played.get(speech_id, 0.0) + seconds

    def metered(self, metrics: Any) -> UUID | None:
        """Record a request that LiveKit's metrics tell of, and return its id."""
        usage = usage_of(metrics)
        if usage is None:
            return None
        self._account.book(usage, self._speeches, waits_for=self._waited_for(usage))
        if usage.kind == "stt" and self._hears_itself and self._unpaid is not None:
            self._account.heard(self._unpaid)
            self._unpaid = None
        return usage.id

    @property
    def _hears_itself(self) -> bool:
        """Whether a realtime model transcribes: it tells of it when the turn is committed."""
        session = self._session
        return (
            session is not None and session.stt is None and isinstance(session.llm, RealtimeModel)
        )

    def _waited_for(self, usage: Usage) -> str | None:
        if usage.kind == "stt":
            return HEARD if self._unpaid is not None or not self._hears_itself else None
        # A realtime model's response, told as it ends, is of the speech that goes on; the end of
        # one that was cut may come when the next speech has begun.
        ends_now = usage.kind == "realtime" and usage.request_id and not usage.cancelled
        return self._current() if ends_now else None

    def transcribed(self, requests: Sequence[Usage]) -> None:
        """Record requests for what a caller said, the last of them answered."""
        heard = "purpose" not in requests[-1].metadata  # it found no words, or was a mere probe
        for usage in requests:
            self._account.book(usage, self._speeches, waits_for=HEARD if heard else None)

    def booked(self, usage: Usage) -> None:
        """Record a request, or more of one."""
        self._account.book(usage, self._speeches)

    def gaps(self) -> list[str]:
        """Return a line for each model of the session that was used and told of no request."""
        found = self._used.gaps(self._account.kinds)
        if self._untold and self._session is not None and self._session.llm is not None:
            name = f"{self._session.llm.provider}/{self._session.llm.model}"
            found.append(f"realtime {name}: {self._untold} responses without figures")
        return found

    def made(self, speech_id: str | None) -> bool:
        """Return whether a speech is one of this session's."""
        return speech_id is not None and (
            speech_id in self._speeches or self._account.last(speech_id) is not None
        )

    def tool_updated(self, update: ToolCallStarted | ToolCallEnded) -> None:
        """Record that a function call has begun, or is over."""
        if update.type == "tool_call_ended":
            self._tools.ended(update)
        else:
            call = update.function_call
            self._tools.started(call, self.agent, self._speech_of(call))

    def tool_executed(self, call: FunctionCall, output: FunctionCallOutput | None) -> None:
        """Record a function call with its result, in its place in the conversation."""
        self._tools.executed(call, output, self.agent, self._speech_of(call))

    def handed_over(self, item: AgentHandoff) -> None:
        """Record that another agent takes over."""
        message = handoff(item)
        if message is not None:
            self._append(message)
        self._look_at_config()

    def _look_at_config(self) -> None:
        for message in self._config.look(self._session):
            self._append(message)

    def _record_draft(self) -> None:
        waiting = self._hearing.waiting
        if self._draft is None:
            self._draft = self._user_message(new_id(), waiting[0].at, None)
        self._draft = _spoken(self._draft, waiting)
        self._append(self._draft)

    def _commit_user(self, item: ChatMessage) -> None:
        if item.transcript_confidence is None:
            # Typed, or put in by code: what is being heard meanwhile is a turn of its own.
            self._commit_typed(item)
            return
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
        self._account.heard(message_id)
        self._unpaid = message_id
        self._used.heard()
        if self._hearing.waiting:
            self._record_draft()

    def _commit_typed(self, item: ChatMessage) -> None:
        draft = self._typed.pop(item.id, None)
        message_id = new_id() if draft is None else draft.id
        message = self._user_message(message_id, when(item), self._speakers.of_text(item))
        self._append(msgspec.structs.replace(committed(message, item), model=None))

    def _commit_assistant(self, item: ChatMessage) -> None:
        speech_id = self._current()
        reply = self._replies.pop(speech_id, None) if speech_id else None
        message_id = reply.id if reply else new_id()
        message = self._agent_message(message_id, when(item), speech_id)
        message = committed(message, item, self._began.get(speech_id or ""))
        message = msgspec.structs.replace(
            message,
            generated_content=self._beyond(message.content, speech_id, reply, cut=item.interrupted),
            audio_duration_ms=self._audio_ms(speech_id),
        )
        if (note := self._notes.get(speech_id or "")) is not None:
            message = msgspec.structs.replace(message, metadata=message.metadata | note)
        # First, so that the message exists when its requests name it.
        self._append(message)
        if speech_id not in self._scripted:
            self._used.answered(aloud=speech_id in self._sounded)
        self._account.answer(item.metrics.get("provider_request_ids", []), message)
        if speech_id is not None:
            self._sounded.discard(speech_id)  # a next step of this speech begins in silence
            self._account.settle(speech_id, message)

    def speech_done(self, speech: SpeechHandle) -> None:
        """Settle what is left of a speech: its last requests, and words that were never heard."""
        self._speeches.pop(speech.id, None)
        reply = self._replies.pop(speech.id, None)
        message = self._account.last(speech.id)
        rest = self._uncommitted(reply, speech)
        if rest is not None:
            message = rest
            self._append(message)
        self._began.pop(speech.id, None)
        self._played.pop(speech.id, None)
        self._scripted.discard(speech.id)
        self._sounded.discard(speech.id)
        self._notes.pop(speech.id, None)
        if message is not None:
            self._account.settle(speech.id, message)
        elif not speech.scheduled:
            self._account.discard(speech.id)  # made ahead of the turn, and thrown away

    def _uncommitted(self, reply: Message | None, speech: SpeechHandle) -> Message | None:
        if reply is not None and speech.id in self._sounded:
            # Heard, and kept out of the model's context: `say(..., add_to_chat_ctx=False)`.
            return msgspec.structs.replace(
                reply,
                interrupted=speech.interrupted,
                audio_duration_ms=self._audio_ms(speech.id),
                metadata={},
            )
        # Cut before its first sound: LiveKit commits no item, but the model was paid for it.
        written = self._beyond("", speech.id, reply, cut=True)
        if reply is None and (written is None or not (speech.scheduled and speech.interrupted)):
            return None
        return msgspec.structs.replace(
            reply or self._agent_message(new_id(), now(), speech.id),
            content="",
            generated_content=written,
            interrupted=True,
            metadata={"unheard": True},
        )

    def _beyond(
        self, heard: str, speech_id: str | None, reply: Message | None, *, cut: bool
    ) -> str | None:
        """Return all that was written for a turn, if it is not what was heard."""
        written = self._written(speech_id) if speech_id is not None else ""
        if not written and cut and reply is not None:  # no model's words, or a realtime model's
            written = reply.content
        return None if written.split() == heard.split() else written.strip() or None

    def _audio_ms(self, speech_id: str | None) -> int | None:
        played = self._played.pop(speech_id or "", None)
        return None if played is None else round(played * 1000)

    def _current(self) -> str | None:
        speech = self._session.current_speech if self._session else None
        return speech.id if speech else None

    def _speech_of(self, call: FunctionCall) -> str | None:
        # A tool runs after the words before it were spoken: by then another speech may be current.
        for speech_id, speech in reversed(self._speeches.items()):
            # One that was turned down has an answer alone.
            items = speech.chat_items
            calls = (item for item in items if isinstance(item, FunctionCall | FunctionCallOutput))
            if any(item.call_id == call.call_id for item in calls):
                return speech_id
        return None

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

    def _agent_message(self, message_id: UUID, at: datetime, speech_id: str | None) -> Message:
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

    def _model(self, *, scripted: bool) -> str | None:
        if self._session is None:
            return None
        maker = self._session.tts if scripted else self._session.llm
        return maker.model if maker else None


def _spoken(draft: Message, pieces: list[Piece]) -> Message:
    return msgspec.structs.replace(
        draft,
        content=text_of(pieces),
        participant_identity=speaker_of(pieces),
        metadata={"final": False} | voices_of(pieces),
    )
