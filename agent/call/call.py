"""One call, from the job's start to its last event."""

import asyncio
from datetime import datetime
from typing import Any

import structlog
from livekit import rtc
from livekit.agents import CloseEvent, JobContext, room_io

from agent import logs
from agent.call.patience import Patience
from agent.call.several_callers import SeveralCallers
from agent.models.pipeline import Parts, Session, audio_input, build_session
from agent.persona import Persona, load_assistant
from agent.rescue.watches import Watches
from agent.settings import Settings
from agent.speech.announce import close_room
from agent.speech.last_words import LastWords
from agent.speech.phrases import Phrases
from callrecord.events import log_fields, now
from callrecord.privacy import describe
from callrecord.recording.instrumentation import hang_ups
from callrecord.recording.record import Recording
from callrecord.recording.recorder import Recorder
from callrecord.recording.room.ending import End
from callrecord.recording.room.people import Leave
from callrecord.recording.settings import RecordSettings

logger = structlog.get_logger("voice.call")

ENTER_TIMEOUT_S = 10.0
HANG_UP = ("agent_hangup", "silence", "max_duration", "error")
"""End reasons after which the room is closed."""


class Call:
    """One call: connects, talks, and records how it ended."""

    def __init__(self, ctx: JobContext, settings: Settings, *, reload: bool = False) -> None:
        """Start to record the call.

        Raises:
            OSError: Its outbox file can't be made.
        """
        self._ctx = ctx
        self._settings = settings
        self._reload = reload
        self._recording = Recording(ctx, self)
        header = self._recording.start(
            RecordSettings(settings.agent_mask_dtmf, settings.agent_usage_drain_s)
        )
        logs.name_call(ctx, log_fields(header))
        self._patience = Patience(
            self._recording.people,
            grace_s=settings.agent_rejoin_grace_s,
            no_caller_timeout_s=settings.agent_no_caller_timeout_s,
            over=self._end_as_seen,
        )
        parts: Parts | None = ctx.proc.userdata.get("parts")
        voices = parts.models.tts if parts is not None else ()
        self.phrases = Phrases(settings, voices[0] if voices else None)
        self._last_words = LastWords(ctx.room, settings, self.recorder, self.phrases)
        self._ready = asyncio.Event()  # a caller has joined, or the call is over already
        self._inside = False
        self._watches: Watches | None = None
        self._background: asyncio.Task[None] | None = None

    @property
    def recorder(self) -> Recorder:
        """The recorder of the call."""
        recorder = self._recording.recorder
        if recorder is None:
            raise RuntimeError("the recording has not started")
        return recorder

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        return self._recording.ending.said is not None

    async def run(self) -> None:
        """Connect and talk. Returns when the conversation runs; events drive the rest."""
        connecting: asyncio.Task[None] | None = None
        talking: asyncio.Task[None] | None = None
        try:
            room, guard = self._ctx.room, self.recorder.guard
            room.on("sip_dtmf_received", guard("key after silence", lambda _: self._key_pressed()))
            connecting = asyncio.create_task(self._ctx.connect())
            session = self._prepare_session(self._ctx.proc.userdata["parts"])
            talking = asyncio.create_task(self._talk(session))
            await connecting
            self._entered()
            await talking
        except Exception as error:
            end = End("error", now(), {"error": repr(error)})
            if not self._recording.ending.say(end):
                # The caller or the room has ended the call meanwhile: it is not this job's error.
                logger.info("call ended before the conversation began", exc_info=True)
                return
            await self._enter_anyway(connecting)
            raise
        finally:
            for task in (connecting, talking):
                if task is not None:
                    task.cancel()

    async def finish(self) -> None:
        """Record the end, after the session's end and while the agent is still in the room."""
        self._patience.stop()
        if self._watches is not None:
            self._watches.stop()
        if self._background is not None:
            self._background.cancel()
        end = await self._recording.decide()
        unsaid: rtc.AudioFrame | None = None
        if end.reason == "error" and self._recording.people.here and not self._ctx.is_fake_job():
            unsaid = await self._last_words.unsaid_error()
        await self._recording.finish()
        logger.info("call ended", end_reason=end.reason, failures=self.recorder.failures)
        if unsaid is not None:
            await self._last_words.announce(unsaid)
        if end.reason in HANG_UP:
            await close_room(self._ctx)
        if (parts := self._ctx.proc.userdata.pop("parts", None)) is not None:
            await parts.aclose()

    def end(self, end_reason: str, at: datetime | None = None, **detail: Any) -> None:
        """End the call now, for this reason; the first reason given counts.

        Args:
            end_reason: One of the end reasons that `callrecord.events` lists.
            at: When it ended, if not now.
            detail: Kept in the row, under `metadata.end`.
        """
        self._end(End(end_reason, at or now(), detail))

    # Events of the room, from the recording

    def person_joined(self) -> None:
        """Greet the first caller, or go on with one who came back."""
        self._patience.joined()
        self._ready.set()
        if self._watches is not None:
            self._watches.joined()
            if self._ctx.room.isconnected():
                self._watches.connected()

    def person_left(self, leave: Leave) -> None:
        """Stop speaking when nobody is left."""
        self._patience.left(leave)
        if not self._recording.people.here and self._watches is not None:
            self._watches.deserted()

    def disconnected(self) -> None:
        """End the call, unless the job itself has left the room."""
        if (end := self._recording.ending.seen()) is not None:
            self._end(end)

    def _prepare_session(self, parts: Parts) -> Session:
        session = build_session(self._settings, parts)
        utterance = self._recording.follow(session)
        if utterance is not None:
            session.before_close = utterance.heard_out
        session.on("close", self.recorder.guard("close", self._session_closed))
        self._watches = Watches(
            session,
            self._settings,
            recorder=self.recorder,
            people=self._recording.people,
            phrases=self.phrases,
            last_words=self._last_words,
            call=self,
            providers=parts.providers,
        )
        self._watches.listen()
        return session

    def _persona(self) -> Persona:
        try:
            return load_assistant(fresh=self._reload)()
        except Exception as error:
            # One line says where; the caller hears the error message, as for any error.
            logger.error("persona can't be loaded", error=describe(error))  # noqa: TRY400
            raise

    async def _talk(self, session: Session) -> None:
        agent = self._persona()
        loading = asyncio.create_task(self.phrases.load(agent.greeting))
        hearing = SeveralCallers(
            self._ctx.room, session, self.recorder, lambda: self._recording.people.here
        )
        hearing.listen()
        await session.start(
            agent,
            room=self._ctx.room,
            # A caller who drops may rejoin, so the first disconnect does not close the session.
            room_options=room_io.RoomOptions(
                audio_input=audio_input(self._ctx.proc.userdata["parts"]),
                close_on_disconnect=False,
                text_input=False,
            ),
        )
        hearing.session_started()
        await loading
        await self._ready.wait()
        if not self.over:
            self.phrases.say(session, agent.greeting)
            self._background = asyncio.create_task(self.phrases.complete())

    async def _enter_anyway(self, connecting: "asyncio.Task[None] | None") -> None:
        """Enter the room although the call has failed, to record its people and inform them."""
        try:
            if connecting is not None and not self._inside:
                await asyncio.wait_for(connecting, ENTER_TIMEOUT_S)
                self._entered()
        except Exception:
            logger.warning("room not entered after an error", exc_info=True)

    def _entered(self) -> None:
        self._inside = True
        self._patience.start()
        self._recording.entered()

    def _key_pressed(self) -> None:
        if self._watches is not None:
            self._watches.key_pressed()

    def _session_closed(self, event: CloseEvent) -> None:
        # LiveKit also closes it at the end of a job that was stopped from outside.
        if event.error is not None or not hang_ups.job_ends():
            self._end_as_seen("agent_hangup")

    def _end_as_seen(self, otherwise: str = "no_caller") -> None:
        self._end(self._recording.ending.seen() or End(otherwise, now()))

    def _end(self, end: End) -> None:
        if self._recording.ending.say(end):
            self._ready.set()
            self._ctx.shutdown(end.reason)
