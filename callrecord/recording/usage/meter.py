"""The meter of a call: knows its requests, lets cut ones tell their usage, and ends them all."""

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
"""Seconds that a request which was cut may go on unheard, to tell what it used."""

_KEPT: Final = 512
"""Requests of which more may be reported."""
_KEPT_OPEN: Final = 64
"""Requests that are over and that LiveKit's metrics report in a moment."""

P = ParamSpec("P")
R = TypeVar("R")
Model = tuple[str, str | None, str | None]
"""Kind, provider and name."""


# A job has a loop of its own, be it a process or a thread.
_meters: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Meter]" = weakref.WeakKeyDictionary()


def meter_here() -> "Meter | None":
    """Return the meter of the job that runs on this loop; None if it is not recorded."""
    try:
        return _meters.get(asyncio.get_running_loop())
    except RuntimeError:  # made where no loop runs, as in a unit test: nobody's call
        return None


class Utterances:
    """Requests for whole utterances that one model was asked.

    Attributes:
        model: The outermost model, which LiveKit's metrics name.
        answer: The newest request that was answered, and not reported yet.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.answer: Usage | None = None
        self._vain: list[Usage] = []

    def answered(self, row: Usage) -> None:
        """Note a request that was answered."""
        self.answer = row

    def failed(self, row: Usage) -> None:
        """Note a request that failed or was cut."""
        self._vain.append(row)

    def take(self) -> list[Usage]:
        """Return the answered request after the vain ones before it, once."""
        answer, self.answer = self.answer, None
        if answer is None or answer.metadata.get("purpose") == RECOVERY:
            return [] if answer is None else [answer]
        vain, self._vain = self._vain, []
        return [*vain, answer]


class Meter:
    """Sees every request of one call.

    Attributes:
        drain_s: Seconds given to a request that was cut; 0: none, it is estimated at once.
        estimator: What was learned of the models.
        scale: Weighs prompts.
    """

    def __init__(self, book: Callable[[Usage], None], *, drain_s: float = DRAIN_S) -> None:
        """`book` takes each version of a request; it must not raise."""
        self._book = book
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
        """Meter what streams on this loop ask from now on; without a loop there are none."""
        if self._closed:
            return
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
            _meters[self._loop] = self

    def begin(self, request: Request, within: Attempt | None = None) -> None:
        """Book a request as it goes out: a job that is killed has sent it all the same.

        Asked within another model's attempt, it takes the place of that one's own request.
        """
        if within is not None:
            self._take_place(request, within)
        self._open.add(request)
        self._begun.add(_model_of(request.row))
        self._book(request.row)

    def end(self, request: Request) -> None:
        """Book the end of a request; the first end counts."""
        if request in self._open:
            self._open.discard(request)
            self._book(request.row)

    def add(self, row: Usage) -> None:
        """Book a request that is known when it is over."""
        self._book(row)

    def is_open(self, request: Request) -> bool:
        """Return whether the request's end is not booked yet."""
        return request in self._open

    def saw(self, row: Usage) -> None:
        """Note that a request has a provider's id: metrics of it tell nothing new."""
        if row.request_id is not None:
            self._ids.put(row.request_id, row.id)

    def asked_by(self, row: Usage, session: Any) -> None:
        """Note the realtime model's session that a request was made in."""
        self._askers.put(row.id, session)

    def asker_of(self, row: Usage) -> Any:
        """Return that session; None for other requests."""
        return self._askers.get(row.id)

    def generates(self, speech_id: str, generation: Any) -> None:
        """Note where LiveKit collects the text that is generated for a step of a speech."""
        self._generations.put(speech_id, generation)

    def take_words(self, speech_id: str) -> str:
        """Return what was generated for a speech since it was asked for last."""
        generation = self._generations.pop(speech_id)
        return str(getattr(generation, "generated_text", ""))

    def counts(self, metrics: LLMMetrics | TTSMetrics) -> bool:
        """Return whether the request that LiveKit tells of is booked from here already."""
        if metrics.request_id:
            return metrics.request_id in self._ids
        # Of one that was cut before its first answer LiveKit has no id to tell.
        kind = "llm" if isinstance(metrics, LLMMetrics) else "tts"
        told = metrics.metadata
        return told is not None and (kind, told.model_provider, told.model_name) in self._begun

    def rows_of(self, request_id: str) -> list[UUID]:
        """Return the newest request with a provider's id, and what was asked within it."""
        found = self._ids.get(request_id)
        return [] if found is None else [found, *(self._within.get(found) or ())]

    def utterances_of(self, model: Any) -> "Utterances":
        """Return the requests for whole utterances that a model was asked, as the outermost one."""
        for each in self._utterances:
            if each.model is model:
                return each
        self._utterances.append(Utterances(model))
        return self._utterances[-1]

    def take_heard(self, metrics: STTMetrics, asked: Any) -> list[Usage]:
        """Return the request that LiveKit reports, if it was seen, after its vain attempts.

        Args:
            metrics: LiveKit's.
            asked: The model that transcribes for the session that reports it.
        """
        if metrics.streamed:
            return []
        label = [
            each
            for each in self._utterances
            if each.answer is not None and each.model.label == metrics.label
        ]
        own = (asked, getattr(asked, "wrapped_stt", None))
        # LiveKit names the outermost model alone, and two sessions may ask models of one name.
        found = [each for each in label if any(each.model is one for one in own)] or label
        return found[0].take() if found else []

    def response_over(self, response_id: str, row: Usage) -> None:
        """Note a realtime model's response that is over: metrics will report it."""
        self._responses.put(response_id, row)

    def take_response(self, response_id: str) -> Usage | None:
        """Return such a response, once."""
        return self._responses.pop(response_id)

    def transcription_over(self, event_id: str, row: Usage) -> None:
        """Note a realtime model's transcription that is over, by the event that told of it."""
        self._transcriptions.put(event_id, row)

    def take_transcription(self, event_id: str) -> Usage | None:
        """Return such a transcription, once."""
        return self._transcriptions.pop(event_id)

    def told_nothing(self, row: Usage) -> None:
        """Note a request that came to its end without any usage."""
        self._unreported[_model_of(row)] += 1

    def gaps(self) -> list[str]:
        """Return a line for each model that told nothing of requests, or was not seen."""
        return [
            *(_gap(model, times, "without figures") for model, times in self._unreported.items()),
            *(_gap(model, times, "not seen") for model, times in self._unseen.items()),
        ]

    def not_seen(self, kind: str, model: Any) -> None:
        """Note a stream that could not be metered."""
        name = (kind, getattr(model, "provider", None), getattr(model, "model", None))
        self._unseen[name] += 1

    def guarded(self, kind: str, model: Any, handler: Callable[P, R]) -> Callable[P, R | None]:
        """Return the handler, made safe for a stream: if it fails, the model was not seen."""

        @functools.wraps(handler)
        def safe(*arguments: P.args, **named: P.kwargs) -> R | None:
            try:
                return handler(*arguments, **named)
            except Exception:
                self.not_seen(kind, model)
                logger.exception("a request is not seen as it is", extra={"kind": kind})
                return None

        return safe

    def drain(self, work: "asyncio.Task[Any]", request: Request) -> None:
        """Let a request that was cut go on until it has told its usage, or for `drain_s`."""
        task = asyncio.get_running_loop().create_task(self._drain(work, request))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def settle(self) -> None:
        """Wait for what still tells its usage: `drain_s` at most."""
        if self._drains:
            await asyncio.wait(set(self._drains), timeout=self.drain_s + 0.1)

    def close(self) -> None:
        """End what is still open, and meter no more."""
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
