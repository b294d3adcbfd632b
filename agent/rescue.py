"""Rescue: the caller never meets silence because a model fails or stalls.

LiveKit tries again by itself, once. When that fails too, or nothing is heard of an answer for too
long, the caller is asked to say it again; when the next turn fails as well, the call ends in an
orderly way. The messages were rendered ahead, since the speech model may be the one that is down.
"""

import asyncio
import time
from collections.abc import Callable

import structlog
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ErrorEvent,
    MetricsCollectedEvent,
    SpeechCreatedEvent,
    ToolExecutionUpdatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)
from livekit.agents.metrics import LLMMetrics, STTMetrics, TTSMetrics
from livekit.agents.voice import SpeechHandle

from agent.failures import Failure, problem_of
from agent.hearing_watch import HearingWatch

logger = structlog.get_logger("voice.rescue")

TICK_S = 0.25
FAILURES_TO_END = 2
"""Failed turns in a row that end the call."""

Guard = Callable[[str, Callable[..., None]], Callable[..., None]]


class Rescue:
    """Watches one session.

    Args:
        session: Not yet started.
        timeout_s: Seconds without an answer after which a model counts as stalled.
        apologise: Says the fallback message.
        give_up: Ends the call with the error message.
    """

    def __init__(
        self,
        session: AgentSession[None],
        *,
        timeout_s: float,
        apologise: Callable[[Failure], SpeechHandle],
        give_up: Callable[[Failure], None],
    ) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._apologise = apologise
        self._give_up = give_up
        self._hearing = HearingWatch(timeout_s)
        self._failed = 0
        self._error: Failure | None = None
        self._scripted: set[str] = set()
        self._sounded: set[str] = set()
        self._own: SpeechHandle | None = None
        self._tools: set[str] = set()
        self._owed_since: float | None = None
        self._answering = False
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def listen(self, guard: Guard) -> None:
        """Begin, with handlers made safe by `guard`."""
        self._done = guard("speech done", self._speech_done)
        self._tick_safely = guard("rescue", self._tick)
        for name, handler in (
            ("speech_created", self._speech_created),
            ("agent_state_changed", self._agent_state_changed),
            ("error", self._error_happened),
            ("metrics_collected", self._metrics_collected),
            ("tool_execution_updated", self._tool_updated),
            ("user_state_changed", self._user_state_changed),
            ("user_input_transcribed", self._transcribed),
        ):
            self._session.on(name, guard(f"rescue: {name}", handler))  # type: ignore[arg-type]
        self._next_tick()

    def stop(self) -> None:
        """Stop watching: the call ends."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    # What the session tells

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        speech = event.speech_handle
        if event.source == "say":
            self._scripted.add(speech.id)
        else:
            self._hearing.answered(time.time())
        speech.add_done_callback(self._done)

    def _agent_state_changed(self, event: AgentStateChangedEvent) -> None:
        speech = self._session.current_speech
        if event.new_state == "speaking" and speech is not None:
            self._sounded.add(speech.id)

    def _error_happened(self, event: ErrorEvent) -> None:
        if event.error.recoverable:
            return  # LiveKit tries again
        part = event.error.type.removesuffix("_error")
        failure = Failure(part, type(event.error.error).__name__)
        if part == "realtime_model":
            if not self._stopped:
                self._end(failure)  # LiveKit has given its connection up: no turn can go better
        elif part == "stt":
            self._hearing.failed(failure.problem)
        else:
            self._error = failure

    def _metrics_collected(self, event: MetricsCollectedEvent) -> None:
        if isinstance(event.metrics, STTMetrics):
            if not event.metrics.streamed:
                self._hearing.heard_out(time.time())
        elif isinstance(event.metrics, LLMMetrics | TTSMetrics):
            self._answering = True
            if self._owed_since is not None:
                self._owed_since = time.monotonic()

    def _tool_updated(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if update.type == "tool_call_started":
            self._tools.add(update.function_call.call_id)
        elif update.type == "tool_call_ended":
            self._tools.discard(update.call_id)
            self._answering = False
            self._sounded.clear()  # what the tool found is still to be told

    def _user_state_changed(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._hearing.speech_began(event.created_at)
        elif event.old_state == "speaking":
            self._hearing.speech_ended(
                event.created_at, counts=self._session.agent_state != "speaking"
            )

    def _transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._hearing.answered(time.time())

    # A speech's end

    def _speech_done(self, speech: SpeechHandle) -> None:
        scripted = speech.id in self._scripted
        sounded = speech.id in self._sounded
        self._scripted.discard(speech.id)
        self._sounded.discard(speech.id)
        error, self._error = self._error, None
        if self._stopped or speech.interrupted:
            return
        problem = problem_of(speech, sounded=sounded)
        if problem is None:
            if not scripted:
                self._failed = 0
            return
        failure = error or Failure("tts" if scripted else "llm", problem)
        if speech is self._own:
            self._end(failure)  # not even that could be said
        else:
            self._fail(failure)

    # Time

    def _next_tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick_safely)

    def _tick(self) -> None:
        if self._stopped:
            return
        self._next_tick()
        session = self._session
        speech = session.current_speech
        if session.agent_state == "speaking" or session.user_state == "speaking":
            self._owed_since = None
        elif speech is not None and not speech.done() and not self._tools and self._listened_to():
            self._watch(speech)
        else:
            self._owed_since = None
            if speech is None and (heard := self._hearing.look(time.time())) is not None:
                self._unheard(heard)
        if self._owed_since is None:
            self._answering = False

    def _watch(self, speech: SpeechHandle) -> None:
        at = time.monotonic()
        if self._owed_since is None:
            self._owed_since = at
        if at - self._owed_since < self._timeout_s:
            return
        self._owed_since = None
        spoken = speech.id in self._scripted or self._answering
        failure = self._error or Failure("tts" if spoken else "llm", "stalled")
        self._error = None
        speech.interrupt(force=True)
        if speech is self._own:
            self._end(failure)
        else:
            self._fail(failure)

    def _listened_to(self) -> bool:
        """Whether the caller's client takes the agent's audio yet: until then all speech waits."""
        try:
            subscribed = self._session.room_io.subscribed_fut
        except RuntimeError:  # the console
            return True
        return subscribed is None or subscribed.done()

    def _unheard(self, problem: str) -> None:
        if problem == HearingWatch.NOTHING:
            # Nobody's fault, and no reason to end: asked once, until something is understood.
            logger.info("nothing understood, caller asked again")
            self._say(Failure("stt", problem))
        elif problem == HearingWatch.STALLED:
            model = self._session.stt
            if model is None and isinstance(self._session.llm, llm.RealtimeModel):
                self._fail(Failure("realtime_model", problem))
            elif model is not None and not model.capabilities.streaming:
                self._fail(Failure("stt", problem))
            else:  # a stream that tells nothing may as well have heard nothing
                self._unheard(HearingWatch.NOTHING)
        else:
            self._fail(Failure("stt", problem))

    # What is done about it

    def _fail(self, failure: Failure) -> None:
        if self._stopped:
            return
        self._failed += 1
        if self._failed >= FAILURES_TO_END:
            self._end(failure)
            return
        logger.warning(
            "a model failed, caller asked again", part=failure.part, problem=failure.problem
        )
        self._say(failure)

    def _say(self, failure: Failure) -> None:
        try:
            self._own = self._apologise(failure)
        except RuntimeError:  # the session is closing
            logger.info("session closing, caller not asked again", part=failure.part)

    def _end(self, failure: Failure) -> None:
        self.stop()
        logger.error("models fail, call ends", part=failure.part, problem=failure.problem)
        self._give_up(failure)
