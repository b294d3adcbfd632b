"""The recorder: turns what happens in a room and a session into events in the outbox.

Nothing here blocks the call or raises into it. A handler's failure is logged and counted, and the
event is kept in the outbox in raw form.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, SpeechCreatedEvent
from livekit.agents.voice import SpeechHandle

from callrecord.events import TALK_ON, CallConnected, CallEnded, Event, Usage
from callrecord.outbox.writer import OutboxWriter
from callrecord.privacy import private_logger
from callrecord.recording.attribution import Attribution
from callrecord.recording.conversation.last_utterance import LastUtterance
from callrecord.recording.conversation.session_events import HANDLERS, log_error
from callrecord.recording.conversation.turns import Turns
from callrecord.recording.guard import Guard
from callrecord.recording.instrumentation import turn_ends
from callrecord.recording.instrumentation.install import install
from callrecord.recording.instrumentation.text_output import Playback, tap, untap
from callrecord.recording.room.keys import Keys
from callrecord.recording.room.legs import Legs
from callrecord.recording.room.participants import is_person
from callrecord.recording.telemetry import Telemetry
from callrecord.recording.usage.meter import DRAIN_S
from callrecord.recording.usage.reconciliation import Reconciliation

logger = private_logger("voice.recorder")

_OF_REQUESTS = ("request", "metrics_collected", "requests at the end", "turns at the end")
"""Handlers whose failure leaves the ledger incomplete."""


class Recorder:
    """Records one call.

    Attributes:
        legs: Who is, or was, in the room.
        turns: The conversation of the first session, and what is said outside any session.
        guard: Makes handlers safe: what they can't handle is logged, counted and kept.
        late: The number of events after the end, which are not recorded.
        telemetry: Gets each event after it was recorded.
        reconciliation: Compares the ledger with what the sessions have counted.
    """

    def __init__(
        self, writer: OutboxWriter, *, drain_s: float = DRAIN_S, mask_keys: bool = False
    ) -> None:
        """Record to `writer`.

        Args:
            writer: Writes the call's outbox file.
            drain_s: Seconds that a cancelled model request may go on, to report its usage.
            mask_keys: Record that callers press keys, but not which ones.
        """
        self._writer = writer
        self.telemetry: Telemetry | None = None
        self._connected = False
        self._finished = False
        self.guard = Guard(self.append)
        self._not_recorded: Counter[type[Event]] = Counter()
        self.late = 0
        self.legs = Legs(self.append)
        self._keys = Keys(self.append, masked=mask_keys)
        self._sessions: list[Turns] = []
        self.reconciliation = Reconciliation()
        self._attribution = Attribution(
            self.guard,
            self.reconciliation,
            lambda: self._sessions or [self.turns],
            drain_s=drain_s,
        )
        self._meter = self._attribution.meter
        self.turns = self._new_turns()
        install()

    @property
    def finished(self) -> bool:
        """Whether the end of the call was recorded."""
        return self._writer.closed

    @property
    def failures(self) -> int:
        """The number of events not recorded or not handled; the outbox has the latter, raw."""
        return self._not_recorded.total() + self.guard.failed.total()

    def append(self, event: Event) -> None:
        """Append an event. Never raises and never waits.

        The room may go on without the agent after the end of the call; that is not recorded.
        """
        if self._finished:  # else a closed file is a failure
            self.late += 1
            logger.debug("event after the end", extra={"event_type": type(event).__name__})
            return
        try:
            self._writer.append(event)
        except Exception:
            self._not_recorded[type(event)] += 1
            logger.exception("event not recorded", extra={"event_type": type(event).__name__})
            return
        if isinstance(event, Usage):
            self.reconciliation.recorded(event)
        if self.telemetry is not None:
            self.telemetry.observe(event)  # it never raises

    def attach_room(self, room: rtc.Room) -> None:
        """Listen to the room. Call this before it is connected, so that no event is missed."""
        self._on(room, "participant_connected", self.legs.joined)
        self._on(room, "participant_disconnected", self.legs.left)
        self._on(room, "participant_connected", self._came)
        self._on(room, "participant_disconnected", self._left)
        self._on(room, "disconnected", lambda _: self.legs.disconnected())
        self._on(room, "disconnected", lambda _: self._left(None))
        for change in ("track_muted", "track_unmuted"):
            self._on(room, change, lambda who, _track: self.legs.track_changed(who))
        for change in ("track_published", "track_unpublished"):
            self._on(room, change, lambda _track, who: self.legs.track_changed(who))
        self._on(room, "participant_name_changed", lambda who, *_: self.legs.named(who))
        self._on(room, "sip_dtmf_received", self._keys.pressed)
        self._on(
            room, "participant_metadata_changed", lambda who, *_: self.legs.metadata_changed(who)
        )
        self._on(
            room,
            "participant_attributes_changed",
            lambda _changed, who: self.legs.attributes_changed(who),
        )

    def attach_session(self, session: AgentSession[None]) -> LastUtterance:
        """Listen to the session. Call this before it is started.

        Each session has its own turns: several may talk at once, or one after the other.

        Returns:
            What the caller has said without a transcript yet. The session's close waits for it, but
            the code that closes the session can wait for it longer.
        """
        self._meter.listen()
        again = self._new_turns() if self._sessions else None
        turns = again or self.turns
        turns.of_agent.agent = self.turns.of_agent.agent
        turns.follow(session)
        turns.of_caller.utterance.follow(session, self.guard)
        self._sessions.append(turns)
        saying = self.guard("saying", turns.of_agent.saying)
        playback = Playback(self.guard("played", turns.of_agent.played))
        self._on(session, "speech_created", lambda _: tap(session, saying))
        self._on(session, "speech_created", lambda _: playback.follow(session.output.audio))
        turn_ends.listen(session, self.guard("turn ended", turns.turn_ended))
        self._on(session, "close", lambda _: untap(session))
        self._on(session, "close", lambda _: playback.follow(None))
        done = self.guard("speech done", turns.of_agent.speech_done)
        self._on(session, "speech_created", partial(_speech_created, turns, done))
        for name, handler in HANDLERS.items():
            self._on(session, name, partial(handler, turns))
        self._on(session, "metrics_collected", partial(self._attribution.metrics, turns))
        self._on(session, "error", log_error)
        return turns.of_caller.utterance

    def entered(self, agent_identity: str) -> None:
        """Set the identity of the agent, which is in the room now."""
        for turns in (self.turns, *self._sessions):
            turns.of_agent.agent = agent_identity

    def look(self, room: rtc.Room) -> None:
        """Start the legs of everyone in the room: their join event may be late or missing."""
        joined = self.guard("already there", self.legs.joined)
        for participant in (room.local_participant, *room.remote_participants.values()):
            joined(participant)

    def connected(self, at: datetime) -> None:
        """Record that caller and agent are both in the room; only the first time counts."""
        if not self._connected:
            self._connected = True
            self.append(CallConnected(at=at))

    async def settle(self) -> None:
        """Wait briefly until cancelled requests have reported their usage, before `finish`."""
        await self._meter.settle()

    async def flush_telemetry(self) -> None:
        """Export what is not exported yet, after `finish`; waits briefly."""
        if self.telemetry is not None:
            await self.telemetry.stop()

    def finish(self, end_reason: str, at: datetime, detail: dict[str, Any]) -> None:
        """Record the end of the call and close the outbox file. Safe to call twice."""
        if self.finished:
            return
        self.guard("requests at the end", self._meter.close)()
        for turns in self._sessions:
            self.guard("turns at the end", turns.end)()
        close = partial(self.legs.close, people_stay=end_reason in TALK_ON)
        self.guard("legs at the end", close)(at)
        gaps = self.gaps()
        self.append(
            CallEnded(
                at=at,
                end_reason=end_reason,
                detail=detail,
                usage_complete=not gaps,
                usage_gaps=gaps,
            )
        )
        self._finished = True
        self._writer.close()

    def gaps(self) -> list[str]:
        """Return why the ledger is incomplete, a line for each model."""
        found = [*self._meter.gaps(), *(gap for turns in self._sessions for gap in turns.gaps())]
        failed = sum(self.guard.failed[name] for name in _OF_REQUESTS)
        if unbooked := self._not_recorded[Usage] + failed:
            found.append(f"{unbooked} events of requests could not be handled")
        try:
            found += self.reconciliation.missing(self.sessions)
        except Exception:
            logger.exception("ledger not reconciled with what the sessions have counted")
            found.append("not reconciled with what the sessions have counted")
        return sorted(set(found))

    @property
    def sessions(self) -> list[AgentSession[None]]:
        """All sessions of the call."""
        return [turns.session for turns in self._sessions if turns.session is not None]

    def _on(self, emitter: rtc.EventEmitter[Any], name: str, handler: Callable[..., None]) -> None:
        emitter.on(name, self.guard(name, handler))

    def _new_turns(self) -> Turns:
        return Turns(self.append, self._meter.take_words, self.legs.only_person)

    def _came(self, participant: rtc.Participant) -> None:
        for turns in self._sessions:
            turns.of_caller.came(participant.identity)
            if self.legs.people:
                turns.of_agent.joined()

    def _left(self, participant: rtc.Participant | None) -> None:
        """Process that a participant has left; None means that the room is closed."""
        for turns in self._sessions:
            turns.of_caller.left(None if participant is None else participant.identity)
            # An agent that talks only with other agents has an audience without people.
            if participant is not None and is_person(participant) and not self.legs.people:
                turns.of_agent.deserted()


def _speech_created(
    turns: Turns, done: Callable[[SpeechHandle], None], event: SpeechCreatedEvent
) -> None:
    turns.of_agent.speech_created(event.speech_handle, scripted=event.source == "say")
    event.speech_handle.add_done_callback(done)
