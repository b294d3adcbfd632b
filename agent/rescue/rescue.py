"""Rescue: a caller is never left in silence because a model fails or stalls.

LiveKit itself retries once. If that fails too, or if no answer is heard for too long, the caller is
asked to say it again. If the next turn fails as well, the call ends after the error message. The
messages were rendered ahead, since the speech model may be the one that is down.
"""

import asyncio
import time
from collections.abc import Callable

import structlog
from livekit.agents import (
    AgentSession,
    ErrorEvent,
    MetricsCollectedEvent,
    SpeechCreatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.metrics import STTMetrics
from livekit.agents.stt import StreamAdapter
from livekit.agents.voice import SpeechHandle

from agent.rescue.failures import Failure
from agent.rescue.hearing_progress import HearingProgress
from agent.rescue.speech_progress import TOOL_TIMEOUT_S, SpeechProgress
from callrecord.recording.current_models import models_of
from callrecord.recording.guard import Guard

logger = structlog.get_logger("voice.rescue")

TICK_S = 0.25
FAILURES_TO_END = 2
"""Failed turns in a row that end the call."""


class Rescue:
    """Rescues one session.

    Args:
        session: The session, not started yet.
        timeout_s: Seconds without an answer after which a model counts as stalled.
        tool_timeout_s: Seconds of silence after which a tool counts as stalled.
        apologise: Says the fallback message.
        give_up: Ends the call with the error message.
        fixed: Returns whether a speech is one of the worker's own phrases, which does not prove
            that a model answers.
        leaving: Returns whether the call is about to end anyway: nothing is said any more.
        written_at: Returns when a model last wrote a piece of an answer, by the monotonic clock.
    """

    def __init__(  # noqa: PLR0913 - what it may do and has to know of the call
        self,
        session: AgentSession[None],
        *,
        timeout_s: float,
        tool_timeout_s: float = TOOL_TIMEOUT_S,
        apologise: Callable[[Failure], SpeechHandle],
        give_up: Callable[[Failure], None],
        fixed: Callable[[SpeechHandle], bool],
        leaving: Callable[[], bool],
        written_at: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._session = session
        self._apologise = apologise
        self._give_up = give_up
        self._fixed = fixed
        self._leaving = leaving
        self._hearing = HearingProgress(timeout_s)
        self._turns = SpeechProgress(
            session,
            timeout_s=timeout_s,
            tool_timeout_s=tool_timeout_s,
            worked=self._worked,
            failed=self._turn_failed,
            written_at=written_at,
        )
        self._failed = 0
        self._own: SpeechHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def listen(self, guard: Guard) -> None:
        """Listen to the session, with handlers made safe by `guard`."""
        self._tick_safely = guard("rescue", self._tick)
        self._turns.listen(guard)
        for name, handler in (
            ("error", self._error_happened),
            ("speech_created", self._speech_created),
            ("metrics_collected", self._metrics_collected),
            ("user_state_changed", self._user_state_changed),
            ("user_input_transcribed", self._transcribed),
        ):
            self._session.on(name, guard(f"rescue: {name}", handler))  # type: ignore[arg-type]
        self._next_tick()

    def stop(self) -> None:
        """Stop: the call ends."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    # Events of the session

    def _error_happened(self, event: ErrorEvent) -> None:
        if event.error.recoverable:
            return  # LiveKit tries again
        part = event.error.type.removesuffix("_error")
        failure = Failure(part, type(event.error.error).__name__)
        if part == "realtime_model":
            self._end(failure)  # LiveKit has given up the connection: no later turn can work
        elif part == "stt":
            self._hearing.failed(failure.problem)
        else:
            self._turns.model_failed(failure)

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        # A realtime model's reply comes before the transcript, or without one.
        if event.source != "say" and not self._fixed(event.speech_handle):
            self._hearing.answered(time.time())

    def _metrics_collected(self, event: MetricsCollectedEvent) -> None:
        if isinstance(event.metrics, STTMetrics) and not event.metrics.streamed:
            self._hearing.heard_out(time.time())

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

    # Time

    def _next_tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick_safely)

    def _tick(self) -> None:
        if self._stopped:
            return
        self._next_tick()
        self._turns.look()
        session = self._session
        if session.current_speech is None and session.user_state != "speaking":
            problem = self._hearing.look(time.time(), streams=self._streams())
            if problem is not None:
                self._unheard(problem)

    def _streams(self) -> bool:
        """Whether speech to text reports nothing about speech that it did not understand."""
        model = models_of(self._session).stt
        # An adapter passes whole utterances to a model that does not stream.
        return (
            model is not None
            and model.capabilities.streaming
            and not isinstance(model, StreamAdapter)
        )

    def _unheard(self, problem: str) -> None:
        if problem == HearingProgress.NOTHING:
            if self._leaving():
                return
            # This is no failure and no reason to end: ask once, until something is understood.
            logger.info("nothing understood, caller asked again")
            self._say(Failure("stt", problem))
            return
        self._fail(Failure(models_of(self._session).ear, problem))

    # Reactions

    def _worked(self, speech: SpeechHandle) -> None:
        if not self._fixed(speech):
            self._failed = 0

    def _turn_failed(self, speech: SpeechHandle, failure: Failure) -> None:
        if speech is self._own:
            self._end(failure)  # even the fallback message failed
        else:
            self._fail(failure)

    def _fail(self, failure: Failure) -> None:
        if self._stopped or self._left(failure):
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
        if self._stopped or self._left(failure):
            return
        self.stop()
        logger.error("models fail, call ends", part=failure.part, problem=failure.problem)
        self._give_up(failure)

    def _left(self, failure: Failure) -> bool:
        if not self._leaving():
            return False
        logger.warning("a model failed at the goodbye", part=failure.part, problem=failure.problem)
        return True
