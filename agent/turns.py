"""Turns: what the caller said and what the agent said, each a message from its first word on.

A turn is recorded before LiveKit commits it, and again when more is known: the caller's from its
first final transcript, the agent's from its first sentence. So a call that is killed in mid-word
keeps what was said until then.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from livekit.agents import AgentSession, ChatMessage, FunctionCall, FunctionCallOutput
from livekit.agents.voice import SpeechHandle

from agent.ledger import HEARD, Ledger
from db.events import Event, Message, new_id, now


class Turns:
    """Records messages of one call."""

    def __init__(self, append: Callable[[Event], None], ledger: Ledger) -> None:
        self._append = append
        self._ledger = ledger
        self._session: AgentSession[None] | None = None
        self._draft: Message | None = None
        self._pieces: list[str] = []
        self._replies: dict[str, Message] = {}
        self._last: dict[str, Message] = {}
        self.caller: str | None = None
        self.agent: str | None = None

    def follow(self, session: AgentSession[None]) -> None:
        """Name the session whose turns these are."""
        self._session = session

    def heard(self, transcript: str) -> None:
        """Record what the caller said, before the turn is over."""
        text = transcript.strip()
        if not text:
            return
        self._pieces.append(text)
        if self._draft is None:
            self._draft = self._user_message(new_id(), now())
        self._draft = msgspec.structs.replace(self._draft, content=" ".join(self._pieces))
        self._append(self._draft)

    def saying(self, text: str) -> None:
        """Record what the agent is about to say, of a reply not yet committed."""
        speech = self._session.current_speech if self._session else None
        if speech is None or not text.strip():
            return
        reply = self._replies.get(speech.id)
        if reply is None:
            reply = self._agent_message(new_id(), now(), speech.id)
        reply = msgspec.structs.replace(reply, content=(reply.content + text).lstrip())
        self._replies[speech.id] = reply
        self._append(reply)

    def item_added(self, item: ChatMessage) -> None:
        """Record a turn that LiveKit has committed."""
        if item.role == "user":
            self._commit_user(item)
        elif item.role == "assistant":
            self._commit_assistant(item)

    def speech_created(self, speech: SpeechHandle) -> None:
        """Settle what a speech has cost when it is done; some metrics come after its message."""
        speech.add_done_callback(self._speech_done)

    def tool_executed(self, call: FunctionCall, output: FunctionCallOutput | None) -> None:
        """Record a function call with its result, in its place in the conversation."""
        result = None if output is None else output.output
        speech = self._session.current_speech if self._session else None
        self._append(
            Message(
                id=new_id(),
                role="system",
                content=f"{call.name}({call.arguments}) -> {result}",
                at=_time(call.created_at) or now(),
                participant_identity=self.agent,
                speech_id=speech.id if speech else None,
                metadata={
                    "kind": "tool_call",
                    "call_id": call.call_id,
                    "name": call.name,
                    "arguments": _json(call.arguments),
                    "result": result,
                    "is_error": output.is_error if output is not None else False,
                },
            )
        )

    def _commit_user(self, item: ChatMessage) -> None:
        text = item.text_content or ""
        # What was heard but is in no turn (LiveKit drops it at times) stays as a turn of its own.
        dropped = [piece for piece in self._pieces if _plain(piece) not in _plain(text)]
        message_id = new_id()
        if self._draft is not None:
            if dropped:
                self._append(msgspec.structs.replace(self._draft, content=" ".join(dropped)))
            else:
                message_id = self._draft.id
        self._draft, self._pieces = None, []
        message = self._user_message(message_id, _time(item.created_at) or now())
        message = _with_metrics(message, item)
        self._append(message)
        self._ledger.assign(HEARD, message_id)

    def _commit_assistant(self, item: ChatMessage) -> None:
        speech = self._session.current_speech if self._session else None
        speech_id = speech.id if speech else None
        reply = self._replies.pop(speech_id, None) if speech_id else None
        message_id = reply.id if reply else new_id()
        message = self._agent_message(message_id, _time(item.created_at) or now(), speech_id)
        message = _with_metrics(message, item)
        if speech_id is not None:
            # First, so that the message exists when its requests name it.
            self._append(message)
            tokens = self._ledger.assign(speech_id, message_id)
            message = msgspec.structs.replace(message, tokens=tokens)
            self._last[speech_id] = message
        self._append(message)

    def _speech_done(self, speech: SpeechHandle) -> None:
        reply = self._replies.pop(speech.id, None)
        message = self._last.pop(speech.id, None)
        if reply is not None:
            # Cut before its first sound: LiveKit commits no item, but the model was paid for it.
            unheard = msgspec.structs.replace(
                reply, content="", interrupted=True, metadata={"unheard": reply.content}
            )
            self._append(unheard)
            message = message or unheard
        if message is None:
            return
        tokens = self._ledger.assign(speech.id, message.id)
        if tokens:
            self._append(msgspec.structs.replace(message, tokens=message.tokens + tokens))

    def _user_message(self, message_id: UUID, at: datetime) -> Message:
        return Message(
            id=message_id,
            role="user",
            content="",
            at=at,
            participant_identity=self.caller,
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
            model=self._session.llm.model if self._session and self._session.llm else None,
            metadata={"final": False},
        )


def _with_metrics(message: Message, item: ChatMessage) -> Message:
    metrics = item.metrics
    return msgspec.structs.replace(
        message,
        content=item.text_content or "",
        interrupted=item.interrupted,
        speech_started_at=_time(metrics.get("started_speaking_at")),
        speech_ended_at=_time(metrics.get("stopped_speaking_at")),
        transcription_delay_ms=_ms(metrics.get("transcription_delay")),
        end_of_turn_delay_ms=_ms(metrics.get("end_of_turn_delay")),
        llm_ttft_ms=_ms(metrics.get("llm_node_ttft")),
        tts_ttfb_ms=_ms(metrics.get("tts_node_ttfb")),
        e2e_latency_ms=_ms(metrics.get("e2e_latency")),
        metadata={},
    )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _time(seconds: float | None) -> datetime | None:
    return None if not seconds else datetime.fromtimestamp(seconds, UTC)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
