"""The recorder: turns what happens in a room and a session into events in the outbox.

Nothing here waits, and nothing raises into the call: a handler that fails is logged, counted, and
what it could not handle is kept in the outbox as it was.
"""

import functools
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from livekit import rtc
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    FunctionToolsExecutedEvent,
    MetricsCollectedEvent,
    SpeechCreatedEvent,
    UserInputTranscribedEvent,
)

from callrecord.db.events import CallConnected, CallEnded, Event, Unhandled, now
from callrecord.db.outbox import OutboxWriter
from callrecord.recording.ledger import Ledger
from callrecord.recording.legs import Legs
from callrecord.recording.tap import tap, untap
from callrecord.recording.turns import Turns

logger = logging.getLogger("voice.recorder")

RAW_LIMIT = 4096
"""Characters kept of an event that could not be handled."""


class Recorder:
    """Records one call.

    Attributes:
        legs: Who is, and was, in the room.
        turns: The conversation.
        failures: Events that could not be handled; each is in the outbox, raw.
    """

    def __init__(self, writer: OutboxWriter) -> None:
        self._writer = writer
        self._connected = False
        self.failures = 0
        self.legs = Legs(self.append)
        self._ledger = Ledger(self.append)
        self.turns = Turns(self.append, self._ledger)

    def append(self, event: Event) -> None:
        """Append an event. Never raises and never waits."""
        try:
            self._writer.append(event)
        except Exception:
            self.failures += 1
            logger.exception("event not recorded", extra={"event_type": type(event).__name__})

    def attach_room(self, room: rtc.Room) -> None:
        """Listen to the room; before it is connected, so that no early event is missed."""
        self._on(room, "participant_connected", self.legs.joined)
        self._on(room, "participant_disconnected", self.legs.left)
        for change in ("track_muted", "track_unmuted"):
            self._on(room, change, lambda who, _track: self.legs.track_changed(who))
        for change in ("track_published", "track_unpublished"):
            self._on(room, change, lambda _track, who: self.legs.track_changed(who))
        self._on(room, "participant_name_changed", lambda who, *_: self.legs.named(who))
        self._on(
            room, "participant_metadata_changed", lambda who, *_: self.legs.metadata_changed(who)
        )
        self._on(
            room,
            "participant_attributes_changed",
            lambda _changed, who: self.legs.attributes_changed(who),
        )

    def attach_session(self, session: AgentSession[None]) -> None:
        """Listen to the session; before it is started."""
        self.turns.follow(session)
        saying = self.guard("saying", self.turns.saying)
        self._on(session, "speech_created", lambda _: tap(session, saying))
        self._on(session, "close", lambda _: untap(session))
        self._on(session, "speech_created", self._speech_created)
        self._on(session, "agent_state_changed", self._agent_state_changed)
        self._on(session, "user_input_transcribed", self._transcribed)
        self._on(session, "conversation_item_added", self._item_added)
        self._on(session, "function_tools_executed", self._tools_executed)
        self._on(session, "metrics_collected", self._metrics_collected)
        self._on(session, "error", self._error)

    def connected(self, at: datetime) -> None:
        """Caller and agent are both in the room; only the first time counts."""
        if not self._connected:
            self._connected = True
            self.append(CallConnected(at=at))

    def finish(self, end_reason: str, at: datetime, detail: dict[str, Any]) -> None:
        """Record the end of the call and close the outbox file. Safe to call twice."""
        if self._writer.closed:
            return
        self.guard("legs at the end", self.legs.close)(at)
        self.append(CallEnded(at=at, end_reason=end_reason, detail=detail))
        self._writer.close()

    def guard(self, name: str, handler: Callable[..., None]) -> Callable[..., None]:
        """Return the handler, made safe for an emitter: it can't raise and loses nothing."""

        @functools.wraps(handler)
        def guarded(*args: Any) -> None:
            try:
                handler(*args)
            except Exception as error:
                self.failures += 1
                logger.exception("event handler failed, event kept raw", extra={"event_type": name})
                raw = " ".join(map(_repr, args))[:RAW_LIMIT]
                self.append(Unhandled(at=now(), source=name, error=repr(error), raw=raw))

        return guarded

    def _on(self, emitter: rtc.EventEmitter[Any], name: str, handler: Callable[..., None]) -> None:
        emitter.on(name, self.guard(name, handler))

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        self.turns.speech_created(event.speech_handle, scripted=event.source == "say")
        event.speech_handle.add_done_callback(self.guard("speech done", self.turns.speech_done))

    def _agent_state_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self.turns.sounding()

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self.turns.heard(event.transcript, event.speaker_id)

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "message":
            self.turns.item_added(event.item)

    def _tools_executed(self, event: FunctionToolsExecutedEvent) -> None:
        for call, output in event.zipped():
            self.turns.tool_executed(call, output)

    def _metrics_collected(self, event: MetricsCollectedEvent) -> None:
        speech_id = self._ledger.collected(event.metrics)
        if speech_id is not None:
            self.turns.charged(speech_id)

    def _error(self, event: ErrorEvent) -> None:
        # Classes only: a provider's message may quote what people said.
        error = getattr(event.error, "error", event.error)
        logger.warning(
            "pipeline error",
            extra={
                "source": type(event.source).__name__,
                "error": type(error).__name__,
                "status_code": getattr(error, "status_code", None),
                "recoverable": getattr(event.error, "recoverable", None),
            },
        )


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - what could not be handled may not be told either
        return f"<{type(value).__name__}: {type(error).__name__}>"
