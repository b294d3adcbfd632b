"""One call, from the job's start to its last event."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from livekit import rtc
from livekit.agents import CloseEvent, JobContext, JobProcess, room_io
from livekit.agents.voice import SpeechHandle

from agent import logs
from agent.failures import Failure
from agent.last_words import LastWords
from agent.limits import Duration, Silence
from agent.people import People
from agent.persona import Persona
from agent.phrases import Phrases
from agent.pipeline import Parts, Session, audio_input, build_session, prepare
from agent.preload import preload
from agent.privacy import describe
from agent.reload import load_assistant
from agent.rescue import Rescue
from agent.settings import Settings
from callrecord.db.events import now
from callrecord.db.log_fields import log_fields
from callrecord.db.outbox import OutboxWriter
from callrecord.recording.header import call_header
from callrecord.recording.presence import Presence
from callrecord.recording.recorder import Recorder

logger = structlog.get_logger("voice.call")

ENTER_TIMEOUT_S = 10.0
HANG_UP_TIMEOUT_S = 5.0

_HANG_UP = ("agent_hangup", "silence", "max_duration", "error")
"""Ends after which nobody is to be left in the room."""


@dataclass(frozen=True)
class JobConfig:
    """What a job's process needs to know of its worker.

    Attributes:
        reload: Whether an edit of the persona counts from the next call on.
    """

    settings: Settings
    outbox: Path
    worker_id: UUID
    reload: bool = False


class Call:
    """One call: connects, talks, and tells the recorder how it ended."""

    def __init__(self, ctx: JobContext, config: JobConfig) -> None:
        self._ctx = ctx
        self._config = config
        self._settings = config.settings
        header = call_header(ctx.job, config.worker_id, ctx.local_participant_identity)
        logs.name_call(ctx, log_fields(header))
        self.recorder = Recorder(OutboxWriter(config.outbox, header))
        self._presence = Presence(
            grace_s=self._settings.agent_rejoin_grace_s,
            no_caller_timeout_s=self._settings.agent_no_caller_timeout_s,
            on_end=self._ended,
        )
        self._ready = asyncio.Event()  # a caller is there, or the call is over already
        self._ending: tuple[str, datetime] | None = None
        self._detail: dict[str, Any] = {}
        self._session: Session | None = None
        self._silence: Silence | None = None
        self._duration = Duration(
            self._settings.agent_max_duration_s,
            self._settings.agent_max_duration_warning_s,
            warn=self.recorder.guard("near the end", self._warn),
            end=self.recorder.guard("longest duration", self._too_long),
        )
        self._leaving: asyncio.Task[None] | None = None
        self._rescue: Rescue | None = None
        self._inside = False
        parts: Parts | None = ctx.proc.userdata.get("parts")
        voices = parts.models.tts if parts is not None else ()
        self.phrases = Phrases(self._settings, voices[0] if voices else None)
        self._last_words = LastWords(ctx.room, self._settings, self.recorder, self.phrases)
        self._background: asyncio.Task[None] | None = None
        self._shutdown = ctx.shutdown
        # A tool of the user's may end the job in LiveKit's way: no drain, but the agent's hang-up.
        setattr(ctx, "shutdown", self._shut_down)  # noqa: B010 - mypy: a method

    async def run(self) -> None:
        """Connect and talk. Returns when the conversation runs; what follows is events."""
        connecting: asyncio.Task[None] | None = None
        talking: asyncio.Task[None] | None = None
        try:
            self._follow_room()
            connecting = asyncio.create_task(self._ctx.connect())
            session = build_session(self._settings, self._ctx.proc.userdata["parts"])
            closed = partial(self._session_closed, session)
            session.on("close", self.recorder.guard("close", closed))
            self.recorder.attach_session(session)
            self._silence = self._listen_for_silence(session)
            self._rescue = self._watch_models(session)
            self._session = session
            talking = asyncio.create_task(self._talk(session))
            await connecting
            self._entered()
            await talking
        except Exception as error:
            if self._ending is not None:
                # Ended on the way, by the caller or the room: no error of this job's.
                logger.info("call ended before the conversation began", exc_info=True)
                return
            self._detail["error"] = repr(error)
            self._ending = ("error", now())
            await self._enter_anyway(connecting)
            raise
        finally:
            for task in (connecting, talking):
                if task is not None:
                    task.cancel()

    async def finish(self) -> None:
        """Record the end: the last thing that is done for a call, however it ends."""
        self._presence.stop()
        self._duration.stop()
        if self._rescue is not None:
            self._rescue.stop()
        if self._background is not None:
            self._background.cancel()
        if self._ending is None:
            self._ending = self._cut()
        end_reason, at = self._ending
        untold: rtc.AudioFrame | None = None
        if end_reason == "error" and self._presence.callers and not self._ctx.is_fake_job():
            untold = await self._last_words.untold_error()
        self.recorder.finish(end_reason, at, self._detail)
        logger.info("call ended", end_reason=end_reason, failures=self.recorder.failures)
        if untold is not None:
            await self._last_words.announce(untold)
        if end_reason in _HANG_UP:
            await self._hang_up()
        if (parts := self._ctx.proc.userdata.pop("parts", None)) is not None:
            await parts.aclose()

    def _cut(self) -> tuple[str, datetime]:
        """Return how a call ended that nobody ended: it was cut from outside."""
        if (gone_since := self._presence.gone_since) is not None:
            return "caller_hangup", gone_since  # within the grace for a rejoin
        if self._ctx.is_fake_job():
            return "caller_hangup", now()  # somebody has left the console
        return "drained", now()  # the worker's drain deadline

    def end(self, end_reason: str, at: datetime | None = None, **detail: Any) -> None:
        """End the call now, for this reason; the first reason given counts.

        Args:
            end_reason: One of those that `callrecord.db.events` lists.
            at: When it ended, if not now.
            detail: Kept in the row, under `metadata.end`.
        """
        if self._ending is None:
            self._detail |= detail
        self._ended(end_reason, at or now())

    async def say_and_end(self, end_reason: str, message: str, **detail: Any) -> None:
        """Say last words that cannot be interrupted, then end the call.

        A speech that does not come to its end in time ends the call all the same.
        """
        if self._session is not None and self._ending is None:
            await self._last_words.say(self._session, message)
        self.end(end_reason, **detail)

    def _watch_models(self, session: Session) -> Rescue:
        rescue = Rescue(
            session,
            # Of several providers each has its time.
            timeout_s=self._settings.agent_model_timeout_s
            * self._ctx.proc.userdata["parts"].providers,
            apologise=lambda failure: self._apologise(session, failure),
            give_up=self._give_up,
        )
        rescue.listen(self.recorder.guard)
        return rescue

    def _apologise(self, session: Session, failure: Failure) -> SpeechHandle:
        speech = self.phrases.say(session, self._settings.agent_fallback_message)
        self.recorder.turns.note(speech.id, {"kind": "fallback", "cause": str(failure)})
        return speech

    def _give_up(self, failure: Failure) -> None:
        message = self._settings.agent_error_message
        self._leave("error", message, error=str(failure))

    def _listen_for_silence(self, session: Session) -> Silence:
        silence = Silence(
            session,
            present=lambda: bool(self._presence.callers) and self._ending is None,
            ask=lambda: self.phrases.say(session, self._settings.agent_silence_message),
            end=lambda: self._leave("silence"),
        )
        silence.listen(self.recorder.guard)
        return silence

    def _warn(self) -> None:
        if self._session is not None and self._ending is None and self._leaving is None:
            self.phrases.say(self._session, self._settings.agent_max_duration_message)

    def _too_long(self) -> None:
        if self._session is not None and self._leaving is None:
            # A speech that may not be interrupted is heard to its end, in the time of last words.
            with contextlib.suppress(RuntimeError):
                self._session.interrupt()
        self._leave("max_duration")

    def _leave(self, end_reason: str, message: str = "", **detail: Any) -> None:
        if self._leaving is not None:
            return
        if self._rescue is not None:
            self._rescue.stop()
        message = message or self._settings.agent_goodbye_message
        self._leaving = asyncio.create_task(self.say_and_end(end_reason, message, **detail))

    def _persona(self) -> Persona:
        try:
            return load_assistant(fresh=self._config.reload)()
        except Exception as error:
            # One line that says where; the caller is told of the error, as of any.
            logger.error("persona can't be loaded", error=describe(error))  # noqa: TRY400
            raise

    async def _talk(self, session: Session) -> None:
        agent = self._persona()
        loading = asyncio.create_task(self.phrases.load(agent.greeting))
        people = People(self._ctx.room, session, self.recorder, lambda: self._presence.callers)
        people.listen()
        await session.start(
            agent,
            room=self._ctx.room,
            # A caller who drops may rejoin: who is present decides, not the first disconnect.
            room_options=room_io.RoomOptions(
                audio_input=audio_input(self._ctx.proc.userdata["parts"]),
                close_on_disconnect=False,
                text_input=False,
            ),
        )
        people.session_started()
        await loading
        await self._ready.wait()
        if self._ending is None:
            self.phrases.say(session, agent.greeting)
            self._background = asyncio.create_task(self.phrases.complete())

    async def _enter_anyway(self, connecting: "asyncio.Task[None] | None") -> None:
        """Look who is in the room although the call has failed: they are told, and recorded."""
        try:
            if connecting is not None and not self._inside:
                await asyncio.wait_for(connecting, ENTER_TIMEOUT_S)
                self._entered()
        except Exception:
            logger.warning("room not entered after an error", exc_info=True)

    async def _hang_up(self) -> None:
        # Leaving alone would keep a caller by phone on a silent line.
        try:
            await asyncio.wait_for(self._ctx.delete_room(), HANG_UP_TIMEOUT_S)
        except TimeoutError:
            logger.warning("room not closed in time after the agent's hang-up")

    def _follow_room(self) -> None:
        room = self._ctx.room
        self.recorder.attach_room(room)
        guard = self.recorder.guard
        room.on("participant_connected", guard("caller joined", self._joined))
        room.on("participant_disconnected", guard("caller left", self._left))
        room.on("disconnected", guard("disconnected", self._disconnected))

    def _entered(self) -> None:
        # Who was there before us is told by no event, or by a late one: look.
        room = self._ctx.room
        self._inside = True
        self.recorder.turns.agent = room.local_participant.identity
        joined = self.recorder.guard("already there", self.recorder.legs.joined)
        participants = list(room.remote_participants.values())
        if not self._ctx.is_fake_job():  # the console's room and its people are not real
            for each in (room.local_participant, *participants):
                joined(each)
        for participant in participants:
            self._joined(participant)
        self._presence.start()

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        self._presence.joined(participant)
        if self._presence.callers:
            self._ready.set()
            if self._ctx.room.isconnected():
                self.recorder.connected(now())
                self._duration.start()
            if self._silence is not None:
                self._silence.broken()

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        self._presence.left(participant)

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if self._ending is None:
            self._detail["disconnect_reason"] = rtc.DisconnectReason.Name(reason).lower()
        self._presence.room_disconnected(reason)

    def _session_closed(self, session: Session, event: CloseEvent) -> None:
        if event.error is not None:
            self._detail["error"] = str(event.error)
            self._ended("error", now())
        elif session.ended_by_agent:
            self._ended("agent_hangup", now())

    def _ended(self, end_reason: str, at: datetime) -> None:
        if self._ending is None:
            self._ending = (end_reason, at)
            self._ready.set()
            self._shutdown(end_reason)

    def _shut_down(self, reason: str = "user requested") -> None:
        self.end("agent_hangup", shutdown=reason)


def prewarm(config: JobConfig, proc: JobProcess) -> None:
    """Prepare a job's process before it gets a call."""
    logs.configure(config.settings)
    proc.userdata["config"] = config
    with contextlib.suppress(*([Exception] if config.reload else [])):  # told to the next call
        load_assistant()
    proc.userdata["parts"] = parts = prepare(config.settings)
    preload(parts.clients.all())


async def entrypoint(ctx: JobContext) -> None:
    """Run a job: LiveKit calls this in the job's process."""
    call = Call(ctx, ctx.proc.userdata["config"])
    ctx.proc.userdata["call"] = call
    await call.run()


async def on_session_end(ctx: JobContext) -> None:
    """Finish the call: LiveKit calls this after the session's end, before the room is left."""
    call = ctx.proc.userdata.get("call")
    if call is not None:
        await call.finish()
