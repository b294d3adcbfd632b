"""One call, from the job's start to its last event."""

import asyncio
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from livekit import rtc
from livekit.agents import CloseEvent, JobContext, room_io

from agent import logs
from agent.call.ending import HANG_UP, Ending
from agent.call.people import People
from agent.models.pipeline import Parts, Session, audio_input, build_session
from agent.persona import Persona, load_assistant
from agent.rescue.watches import Watches
from agent.settings import Settings
from agent.speech.announce import close_room
from agent.speech.last_words import LastWords
from agent.speech.phrases import Phrases
from callrecord.events import log_fields, now
from callrecord.outbox.writer import OutboxWriter
from callrecord.privacy import describe
from callrecord.recording.instrumentation import hang_ups
from callrecord.recording.metadata import call_header
from callrecord.recording.recorder import Recorder
from callrecord.recording.room.cuts import cut_reason
from callrecord.recording.room.participants import is_phone
from callrecord.recording.room.presence import Presence
from callrecord.recording.telemetry import telemetry_of

logger = structlog.get_logger("voice.call")

ENTER_TIMEOUT_S = 10.0
CLOSED_GRACE_S = 2.0
"""After a session has closed, until its call is over: at a job's end LiveKit closes it, too."""


class Call:
    """One call: connects, talks, and tells the recorder how it ended."""

    def __init__(
        self,
        ctx: JobContext,
        settings: Settings,
        *,
        outbox: Path,
        worker_id: UUID,
        reload: bool = False,
    ) -> None:
        self._ctx = ctx
        self._settings = settings
        self._reload = reload
        header = call_header(ctx.job, worker_id, ctx.local_participant_identity)
        logs.name_call(ctx, log_fields(header))
        self.recorder = Recorder(
            OutboxWriter(outbox, header),
            drain_s=settings.agent_usage_drain_s,
            mask_keys=settings.agent_mask_dtmf,
        )
        self.recorder.telemetry = telemetry_of(header)
        self._ending = Ending(self._end_job)
        self._presence = Presence(
            grace_s=settings.agent_rejoin_grace_s,
            no_caller_timeout_s=settings.agent_no_caller_timeout_s,
            on_end=self._ending.end,
        )
        parts: Parts | None = ctx.proc.userdata.get("parts")
        voices = parts.models.tts if parts is not None else ()
        self.phrases = Phrases(settings, voices[0] if voices else None)
        self._last_words = LastWords(ctx.room, settings, self.recorder, self.phrases)
        self._ready = asyncio.Event()  # a caller is there, or the call is over already
        self._inside = False
        self._watches: Watches | None = None
        self._background: asyncio.Task[None] | None = None
        self._abandoned: asyncio.TimerHandle | None = None
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
            session = self._prepare_session(self._ctx.proc.userdata["parts"])
            talking = asyncio.create_task(self._talk(session))
            await connecting
            self._entered()
            await talking
        except Exception as error:
            if not self._ending.note("error", error=repr(error)):
                # Ended on the way, by the caller or the room: no error of this job's.
                logger.info("call ended before the conversation began", exc_info=True)
                return
            await self._enter_anyway(connecting)
            raise
        finally:
            for task in (connecting, talking):
                if task is not None:
                    task.cancel()

    async def finish(self) -> None:
        """Record the end: the last thing that is done for a call, however it ends."""
        self._presence.stop()
        hang_ups.forget_room(self._ctx.job.room.name)
        if self._watches is not None:
            self._watches.stop()
        if self._background is not None:
            self._background.cancel()
        if self._abandoned is not None:
            self._abandoned.cancel()
        if not self._ending.over:
            self._ending.note(*await self._cut())
        end_reason, at = self._ending.reason, self._ending.at or now()
        untold: rtc.AudioFrame | None = None
        if end_reason == "error" and self._presence.callers and not self._ctx.is_fake_job():
            untold = await self._last_words.untold_error()
        await self.recorder.settle()
        self.recorder.finish(end_reason, at, self._ending.detail)
        logger.info("call ended", end_reason=end_reason, failures=self.recorder.failures)
        if untold is not None:
            await self._last_words.announce(untold)
        if end_reason in HANG_UP:
            await close_room(self._ctx)
        if (parts := self._ctx.proc.userdata.pop("parts", None)) is not None:
            await parts.aclose()
        await self.recorder.flush_telemetry()

    def end(self, end_reason: str, at: datetime | None = None, **detail: Any) -> None:
        """End the call now, for this reason; the first reason given counts.

        Args:
            end_reason: One of those that `callrecord.events` lists.
            at: When it ended, if not now.
            detail: Kept in the row, under `metadata.end`.
        """
        self._ending.end(end_reason, at, **detail)

    def _prepare_session(self, parts: Parts) -> Session:
        session = build_session(self._settings, parts)
        closed = partial(self._session_closed, session)
        session.on("close", self.recorder.guard("close", closed))
        session.before_close = self.recorder.attach_session(session).heard_out
        self._watches = Watches(
            session,
            self._settings,
            recorder=self.recorder,
            presence=self._presence,
            phrases=self.phrases,
            last_words=self._last_words,
            ending=self._ending,
            providers=parts.providers,
        )
        self._watches.listen()
        return session

    def _persona(self) -> Persona:
        try:
            return load_assistant(fresh=self._reload)()
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
        if not self._ending.over:
            self.phrases.say(session, agent.greeting)
            self._background = asyncio.create_task(self.phrases.complete())

    async def _cut(self) -> tuple[str, datetime]:
        """Return how a call ended that nobody ended: it was cut from outside."""
        at = now()
        if (gone_since := self._presence.gone_since) is not None:
            return "caller_hangup", gone_since  # within the grace for a rejoin
        if self._ctx.is_fake_job():
            return "caller_hangup", at  # somebody has left the console
        return await cut_reason(self._ctx), at

    async def _enter_anyway(self, connecting: "asyncio.Task[None] | None") -> None:
        """Look who is in the room although the call has failed: they are told, and recorded."""
        try:
            if connecting is not None and not self._inside:
                await asyncio.wait_for(connecting, ENTER_TIMEOUT_S)
                self._entered()
        except Exception:
            logger.warning("room not entered after an error", exc_info=True)

    def _follow_room(self) -> None:
        room = self._ctx.room
        self.recorder.attach_room(room)
        guard = self.recorder.guard
        hang_ups.install()
        hang_up = guard("hang-up", partial(self._ending.end, "agent_hangup"))
        hang_ups.on_room_deleted(self._ctx.job.room.name, hang_up)
        room.on("participant_connected", guard("caller joined", self._joined))
        # A phone is there once it is answered.
        answered = guard("phone answered", lambda _changed, who: self._changed(who))
        room.on("participant_attributes_changed", answered)
        room.on("participant_disconnected", guard("caller left", self._left))
        room.on("sip_dtmf_received", guard("key after silence", lambda _: self._key_pressed()))
        room.on("disconnected", guard("disconnected", self._disconnected))

    def _entered(self) -> None:
        # Who was there before us is told by no event, or by a late one: look.
        room = self._ctx.room
        self._inside = True
        self.recorder.entered(room.local_participant.identity)
        if not self._ctx.is_fake_job():  # the console's room and its people are not real
            self.recorder.look(room)
        for participant in list(room.remote_participants.values()):
            self._joined(participant)
        self._presence.start()

    def _joined(self, participant: rtc.RemoteParticipant) -> None:
        self._presence.joined(participant)
        if self._presence.callers:
            self._ready.set()
            if self._ctx.room.isconnected():
                self.recorder.connected(now())
            if self._watches is not None:
                self._watches.joined()
                if self._ctx.room.isconnected():
                    self._watches.connected()

    def _changed(self, participant: rtc.Participant) -> None:
        if not isinstance(participant, rtc.RemoteParticipant) or not is_phone(participant):
            return
        if all(caller.sid != participant.sid for caller in self._presence.callers):
            self._joined(participant)

    def _key_pressed(self) -> None:
        if self._watches is not None:
            self._watches.key_pressed()

    def _left(self, participant: rtc.RemoteParticipant) -> None:
        self._presence.left(participant)
        if self._presence.gone_since is not None and self._watches is not None:
            self._watches.deserted()

    def _disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        if not self._ending.over:
            self._ending.detail["disconnect_reason"] = rtc.DisconnectReason.Name(reason).lower()
        self._presence.room_disconnected(reason)

    def _session_closed(self, session: Session, event: CloseEvent) -> None:
        if event.error is not None:
            self._ending.end("error", error=str(event.error))
        elif session.ended_by_agent:
            self._ending.end("agent_hangup")
        elif self._abandoned is None:
            # By the persona, with aclose; or by LiveKit, and then `finish` comes at once.
            hang_up = partial(self._ending.end, "agent_hangup")
            self._abandoned = asyncio.get_running_loop().call_later(CLOSED_GRACE_S, hang_up)

    def _end_job(self, end_reason: str) -> None:
        self._ready.set()
        self._shutdown(end_reason)

    def _shut_down(self, reason: str = "user requested") -> None:
        self._ending.end("agent_hangup", shutdown=reason)
