"""The meter of a call: tracks its requests, lets cancelled ones report usage, and ends them all."""

import asyncio
import contextlib
import functools
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

from livekit.agents.metrics import LLMMetrics, STTMetrics, TTSMetrics

from callrecord.events import Usage
from callrecord.privacy import private_logger
from callrecord.recording.recent import Recent
from callrecord.recording.usage.estimate import Estimator, Scale
from callrecord.recording.usage.requests import RECOVERY, Attempt, Request

logger = private_logger("voice.meter")

DRAIN_S: Final = 1.0
"""How many seconds a cancelled request may go on, to report what it used."""

_KEPT: Final = 512
"""How many requests are remembered, as more may be reported about each."""
_KEPT_OPEN: Final = 64
"""How many finished requests are remembered until LiveKit's metrics report them."""

P = ParamSpec("P")
R = TypeVar("R")
Model = tuple[str, str | None, str | None]
"""Kind, provider and name."""


# Each job has its own loop, whether it runs in a process or in a thread.
_meters: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Meter]" = weakref.WeakKeyDictionary()


def meter_here() -> "Meter | None":
    """Return the meter of the job that runs on this loop; None if it is not recorded."""
    try:
        return _meters.get(asyncio.get_running_loop())
    except RuntimeError:  # no loop runs here, as in a unit test
        return None


class Utterances:
    """The requests of one model for whole utterances.

    Attributes:
        model: The outermost model, which LiveKit's metrics name.
        answer: The newest request that was answered but not reported yet.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.answer: Usage | None = None
        self._vain: list[Usage] = []

    def answered(self, row: Usage) -> None:
        """Keep a request that was answered."""
        self.answer = row

    def failed(self, row: Usage) -> None:
        """Keep a request that failed or was cancelled."""
        self._vain.append(row)

    def take(self) -> list[Usage]:
        """Return the failed requests, then the answered one, once."""
        answer, self.answer = self.answer, None
        if answer is None or answer.metadata.get("purpose") == RECOVERY:
            return [] if answer is None else [answer]
        vain, self._vain = self._vain, []
        return [*vain, answer]


class Meter:
    """Observes every request of one call.

    Attributes:
        drain_s: Seconds that a cancelled request may go on; with 0 it is estimated at once.
        estimator: Estimates tokens from what was learned about the models.
        scale: Measures prompts.
    """

    def __init__(self, record: Callable[[Usage], None], *, drain_s: float = DRAIN_S) -> None:
        """`record` gets each version of a request; it must not raise."""
        self._record = record
        self._open: set[Request] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ids: Recent[str, UUID] = Recent(_KEPT)
        self._begun: set[Model] = set()
        self._generations: Recent[str, Any] = Recent(_KEPT_OPEN)
        self._drains: set[asyncio.Task[None]] = set()
        self.drain_s = drain_s
        self.estimator = Estimator()
        self.scale = Scale()
        self._unreported: Counter[Model] = Counter()
        self._unseen: Counter[Model] = Counter()
        self._utterances: list[Utterances] = []
        self._responses: Recent[str, Usage] = Recent(_KEPT_OPEN)
        self._transcriptions: Recent[str, Usage] = Recent(_KEPT_OPEN)
        self._askers: Recent[UUID, Any] = Recent(_KEPT)
        self._within: Recent[UUID, list[UUID]] = Recent(_KEPT)
        self._closed = False

    def listen(self) -> None:
        """Meter the streams on this loop from now on; without a loop there are none."""
        if self._closed:
            return
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
            _meters[self._loop] = self

    def begin(self, request: Request, within: Attempt | None = None) -> None:
        """Record a request as it is sent: a job that is killed later has sent it all the same.

        If it is made within another model's attempt, it replaces that attempt's own request.
        """
        if within is not None:
            self._take_place(request, within)
        self._open.add(request)
        self._begun.add(_model_of(request.row))
        self._record(request.row)

    def end(self, request: Request) -> None:
        """Record the end of a request; the first end counts."""
        if request in self._open:
            self._open.discard(request)
            self._record(request.row)

    def add(self, row: Usage) -> None:
        """Record a request that is known only at its end."""
        self._record(row)

    def is_open(self, request: Request) -> bool:
        """Return whether the request's end is not recorded yet."""
        return request in self._open

    def saw(self, row: Usage) -> None:
        """Note a request's provider id: metrics with this id add nothing new."""
        if row.request_id is not None:
            self._ids.put(row.request_id, row.id)

    def asked_by(self, row: Usage, session: Any) -> None:
        """Note the realtime model's session that made a request."""
        self._askers.put(row.id, session)

    def asker_of(self, row: Usage) -> Any:
        """Return the realtime model's session of a request; None for other requests."""
        return self._askers.get(row.id)

    def generates(self, speech_id: str, generation: Any) -> None:
        """Note the object in which LiveKit collects the generated text of a step of a speech."""
        self._generations.put(speech_id, generation)

    def take_words(self, speech_id: str) -> str:
        """Return what was generated for a speech since the last call."""
        generation = self._generations.pop(speech_id)
        return str(getattr(generation, "generated_text", ""))

    def counts(self, metrics: LLMMetrics | TTSMetrics) -> bool:
        """Return whether the meter has already recorded the request that LiveKit reports."""
        if metrics.request_id:
            return metrics.request_id in self._ids
        # LiveKit has no id for a request that was cancelled before its first answer.
        kind = "llm" if isinstance(metrics, LLMMetrics) else "tts"
        source = metrics.metadata
        return (
            source is not None and (kind, source.model_provider, source.model_name) in self._begun
        )

    def rows_of(self, request_id: str) -> list[UUID]:
        """Return the newest request with a provider's id, and the requests made within it."""
        found = self._ids.get(request_id)
        return [] if found is None else [found, *(self._within.get(found) or ())]

    def utterances_of(self, model: Any) -> "Utterances":
        """Return a model's requests for whole utterances; the model is the outermost one."""
        for each in self._utterances:
            if each.model is model:
                return each
        self._utterances.append(Utterances(model))
        return self._utterances[-1]

    def take_heard(self, metrics: STTMetrics, asked: Any) -> list[Usage]:
        """Return the failed attempts and the request that LiveKit reports, if it was observed.

        Args:
            metrics: LiveKit's metrics.
            asked: The model that transcribes for the session that reports them.
        """
        if metrics.streamed:
            return []
        answered = [
            each
            for each in self._utterances
            if each.answer is not None and each.model.label == metrics.label
        ]
        own = (asked, getattr(asked, "wrapped_stt", None))
        # LiveKit names only the outermost model, and models of two sessions may share a name.
        found = [each for each in answered if any(each.model is one for one in own)] or answered
        return found[0].take() if found else []

    def response_over(self, response_id: str, row: Usage) -> None:
        """Keep a realtime model's finished response: metrics will report it."""
        self._responses.put(response_id, row)

    def take_response(self, response_id: str) -> Usage | None:
        """Return a realtime model's finished response, once."""
        return self._responses.pop(response_id)

    def transcription_over(self, event_id: str, row: Usage) -> None:
        """Keep a realtime model's finished transcription, by the id of its event."""
        self._transcriptions.put(event_id, row)

    def take_transcription(self, event_id: str) -> Usage | None:
        """Return a realtime model's finished transcription, once."""
        return self._transcriptions.pop(event_id)

    def told_nothing(self, row: Usage) -> None:
        """Count a request that ended without any usage."""
        self._unreported[_model_of(row)] += 1

    def gaps(self) -> list[str]:
        """Return a line for each model with requests that reported nothing or were not seen."""
        return [
            *(_gap(model, times, "without figures") for model, times in self._unreported.items()),
            *(_gap(model, times, "not seen") for model, times in self._unseen.items()),
        ]

    def not_seen(self, kind: str, model: Any) -> None:
        """Count a stream that could not be metered."""
        name = (kind, getattr(model, "provider", None), getattr(model, "model", None))
        self._unseen[name] += 1

    def guarded(self, kind: str, model: Any, handler: Callable[P, R]) -> Callable[P, R | None]:
        """Return a version of the handler that never raises: a failure counts as not seen."""

        @functools.wraps(handler)
        def safe(*arguments: P.args, **named: P.kwargs) -> R | None:
            try:
                return handler(*arguments, **named)
            except Exception:
                self.not_seen(kind, model)
                logger.exception("a request could not be observed", extra={"kind": kind})
                return None

        return safe

    def drain(self, work: "asyncio.Task[Any]", request: Request) -> None:
        """Let a cancelled request go on until it has reported its usage, or for `drain_s`."""
        task = asyncio.get_running_loop().create_task(self._drain(work, request))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def settle(self) -> None:
        """Wait for cancelled requests that still report their usage, for `drain_s` at most."""
        if self._drains:
            await asyncio.wait(set(self._drains), timeout=self.drain_s + 0.1)

    def close(self) -> None:
        """End the open requests and stop metering."""
        self._closed = True
        for request in list(self._open):
            request.finish()
        if self._loop is not None and _meters.get(self._loop) is self:
            del _meters[self._loop]

    def _take_place(self, request: Request, attempt: Attempt) -> None:
        outer, attempt.passed_on = attempt.request, True
        if outer is None:
            return
        outer.asked = request
        if outer in self._open:
            self._open.discard(outer)
            request.change(id=outer.row.id)
        else:
            within_it = self._within.get(outer.row.id) or []
            self._within.put(outer.row.id, [*within_it, request.row.id])

    async def _drain(self, work: "asyncio.Task[Any]", request: Request) -> None:
        try:
            if self.drain_s > 0 and not request.told:
                await asyncio.wait({work}, timeout=self.drain_s)
            if work.done() and not work.cancelled() and (error := work.exception()) is not None:
                request.failed(error)
        finally:
            request.finish()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def _model_of(row: Usage) -> Model:
    return row.kind, row.provider, row.model


def _gap(model: Model, times: int, what: str) -> str:
    kind, provider, name = model
    return f"{kind} {provider}/{name}: {times} request{'s' if times > 1 else ''} {what}"
