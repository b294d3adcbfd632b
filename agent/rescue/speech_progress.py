"""The progress of the agent's speeches, from their creation to their end.

LiveKit reports each step by another event, and does not report a step that never happens.
"""

import time
from collections.abc import Callable

from livekit.agents import (
    Agent,
    AgentSession,
    AgentStateChangedEvent,
    MetricsCollectedEvent,
    SpeechCreatedEvent,
    ToolExecutionUpdatedEvent,
)
from livekit.agents.metrics import LLMMetrics, TTSMetrics
from livekit.agents.voice import SpeechHandle

from agent.rescue.failures import Failure, problem_of
from callrecord.recording.current_models import models_of
from callrecord.recording.guard import Guard

TOOL_TIMEOUT_S = 60.0
"""How many seconds a tool may leave the caller in silence."""


class SpeechProgress:
    """Tracks the speeches of one session.

    Args:
        session: The session, not started yet.
        timeout_s: Seconds without a sound after which a speech counts as stalled.
        tool_timeout_s: The same limit while a tool of that speech runs.
        worked: Called with a speech that ended normally.
        failed: Called with a speech that failed, and the reason.
        written_at: Returns when a model last wrote a piece of its answer, by the monotonic clock: a
            voice may wait for the end of a sentence.
    """

    def __init__(  # noqa: PLR0913 - its inputs and its callbacks
        self,
        session: AgentSession[None],
        *,
        timeout_s: float,
        tool_timeout_s: float,
        worked: Callable[[SpeechHandle], None],
        failed: Callable[[SpeechHandle, Failure], None],
        written_at: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._session = session
        self._written_at = written_at
        self._timeout_s = timeout_s
        self._tool_timeout_s = tool_timeout_s
        self._worked = worked
        self._failed = failed
        self._error: Failure | None = None
        self._said: set[str] = set()
        self._asked: set[str] = set()
        self._sounded: set[str] = set()
        self._tools: dict[str, SpeechHandle] = {}
        self._owed_since: float | None = None
        self._answering = False

    def listen(self, guard: Guard) -> None:
        """Listen to the session, with handlers made safe by `guard`."""
        self._done = guard("speech done", self._speech_done)
        for name, handler in (
            ("speech_created", self._speech_created),
            ("agent_state_changed", self._agent_state_changed),
            ("metrics_collected", self._metrics_collected),
            ("tool_execution_updated", self._tool_updated),
        ):
            self._session.on(name, guard(f"speech progress: {name}", handler))  # type: ignore[arg-type]

    def model_failed(self, failure: Failure) -> None:
        """Note a model's error, which its speech may still survive."""
        self._error = failure

    def look(self) -> None:
        """Interrupt the current speech if it has stalled. Call this at short intervals."""
        speech = self._session.current_speech
        if speech is not None and self._session.agent_state == "speaking":
            self._sounded.add(speech.id)
        if speech is None and self._session.agent_state == "thinking":
            speech = next(iter(self._tools.values()), None)  # LiveKit sets it aside meanwhile
        if speech is None or not self._silent(speech):
            self._owed_since = None
            self._answering = False
            return
        at = time.monotonic()
        if self._owed_since is None:
            self._owed_since = at
        works = speech in self._tools.values()
        silent_s = at - self._owed_since
        if not works and silent_s < self._tool_timeout_s:
            silent_s = min(silent_s, at - self._written_at())
        if silent_s < (self._tool_timeout_s if works else self._timeout_s):
            return
        self._owed_since = None
        self._stalled(speech, works=works)

    def _speech_created(self, event: SpeechCreatedEvent) -> None:
        if event.source == "say":
            self._said.add(event.speech_handle.id)
        event.speech_handle.add_done_callback(self._done)

    def _agent_state_changed(self, event: AgentStateChangedEvent) -> None:
        speech = self._session.current_speech
        if event.new_state == "speaking" and speech is not None:
            self._sounded.add(speech.id)

    def _metrics_collected(self, event: MetricsCollectedEvent) -> None:
        metrics = event.metrics
        if isinstance(metrics, LLMMetrics) and metrics.speech_id is not None:
            self._asked.add(metrics.speech_id)
        if isinstance(metrics, LLMMetrics | TTSMetrics):
            self._answering = True
            if self._owed_since is not None:
                self._owed_since = time.monotonic()

    def _tool_updated(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if update.type == "tool_call_started":
            # An agent that the tool awaits has its own speeches, which are tracked like any other.
            speech = self._session.current_speech
            if speech is not None:
                self._tools[update.function_call.call_id] = speech
        elif update.type == "tool_call_ended":
            self._answering = False
            # The tool's result must still be spoken.
            if (speech := self._tools.pop(update.call_id, None)) is not None:
                self._sounded.discard(speech.id)

    def _speech_done(self, speech: SpeechHandle) -> None:
        said, sounded = speech.id in self._said, speech.id in self._sounded
        asked = speech.id in self._asked or self._error is not None
        for known in (self._said, self._sounded, self._asked):
            known.discard(speech.id)
        error, self._error = self._error, None
        if speech.interrupted:
            return
        problem = problem_of(speech, sounded=sounded)
        if problem == "empty" and not (said or asked or self._asks_always()):
            problem = None
        if problem is None:
            self._worked(speech)
        else:
            self._failed(speech, error or Failure(self._part(said=said), problem))

    def _silent(self, speech: SpeechHandle) -> bool:
        """Whether the speech owes the caller a sound."""
        session = self._session
        if "speaking" in {session.agent_state, session.user_state} or speech.done():
            return False
        # LiveKit holds a speech that a cough has interrupted, and resumes it by itself.
        held = speech.id in self._sounded and session.agent_state == "listening"
        return not held and self._listened_to()

    def _stalled(self, speech: SpeechHandle, *, works: bool) -> None:
        spoken = speech.id in self._said or self._answering
        part = "tool" if works else self._part(said=spoken)
        failure = self._error or Failure(part, "stalled")
        self._error = None
        self._answering = False
        if works:  # a later result is no answer any more, and the tool must count only once
            self._tools = {call: each for call, each in self._tools.items() if each is not speech}
        speech.interrupt(force=True)
        self._failed(speech, failure)

    def _listened_to(self) -> bool:
        """Whether the caller's client has subscribed to the agent's audio: speech waits for it."""
        try:
            subscribed = self._session.room_io.subscribed_fut
        except RuntimeError:  # the console
            return True
        return subscribed is None or subscribed.done()

    def _asks_always(self) -> bool:
        """Whether a model makes every reply: an agent's own `llm_node` may say nothing."""
        by_realtime = models_of(self._session).realtime is not None
        return by_realtime or type(self._session.current_agent).llm_node is Agent.llm_node

    def _part(self, *, said: bool) -> str:
        """Return the part that says a text or, if not `said`, the part that makes a reply."""
        models = models_of(self._session)
        return models.voice if said else models.mind
