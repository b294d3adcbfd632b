"""Speech to text that is asked for whole utterances: each attempt a request, with its audio.

LiveKit tells of those that were answered. Of one that failed, or was cut because the caller had
gone, it tells nothing, and its audio was sent all the same.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from livekit.agents.stt import STT, SpeechEvent, StreamAdapter
from livekit.agents.utils import AudioBuffer
from livekit.agents.utils.audio import calculate_audio_duration

from callrecord.recording.usage.meter import Meter, meter_here
from callrecord.recording.usage.nesting import Attempt, around, attempting
from callrecord.recording.usage.requests import RECOVERY, Request, is_probe, row_of

NO_WORDS: Final = "no_words"
"""Purpose of a request that found no words, of a cough, say: it leads to no message."""
AUDIO: Final = {"method": "audio"}
"""Estimate of a request that told nothing: all its audio."""

_Attempt = Callable[..., Awaitable[SpeechEvent]]
_attempts: "ContextVar[int]" = ContextVar("callrecord_stt_attempts", default=0)


def watch_recognition(model: STT[Any]) -> None:
    """See each attempt of the recognition that begins in this task."""
    _attempts.set(0)
    attempt = model._recognize_impl  # noqa: SLF001
    if not isinstance(attempt, _Watched) and asks_itself(model):
        model._recognize_impl = _Watched(model, attempt)  # type: ignore[method-assign]  # noqa: SLF001


def asks_itself(model: STT[Any]) -> bool:
    """Whether a model asks a provider, and does not only pass on what another one was asked."""
    return model._recognize_metrics_needed and not isinstance(model, StreamAdapter)  # noqa: SLF001


class _Watched:
    """Stands before the method that a plugin implements; a model may outlive the call."""

    def __init__(self, model: STT[Any], attempt: _Attempt) -> None:
        self._model = model
        self._attempt = attempt

    async def __call__(self, buffer: AudioBuffer, **named: Any) -> SpeechEvent:
        meter = meter_here()
        if meter is None:
            return await self._attempt(buffer, **named)
        guarded = functools.partial(meter.guarded, "stt", self._model)
        within = around("stt")
        request = guarded(_begin)(meter, self._model, buffer, within)
        if request is None:
            return await self._attempt(buffer, **named)
        try:
            with attempting("stt") as own:
                own.request = request
                event = await self._attempt(buffer, **named)
        except asyncio.CancelledError:
            request.change(cancelled=True)
            request.finish()
            raise
        except Exception as error:
            request.failed(error)
            request.finish()
            raise
        answered = own.answered if own.passed_on else request
        if answered is request:
            guarded(_answered)(request, event)
        if answered is not None:
            # LiveKit tells of the outermost model, by that one's name.
            meter.answers[self._model.label] = answered.row
            if within is not None:
                within.answered = answered
        return event


def _begin(meter: Meter, model: STT[Any], buffer: AudioBuffer, within: Attempt | None) -> Request:
    attempts = _attempts.get() + 1
    _attempts.set(attempts)
    row = row_of(
        "stt",
        model,
        audio_ms=round(calculate_audio_duration(buffer) * 1000),
        estimated=True,
        metadata={"open": True, "estimate": AUDIO},
    )
    request = Request(row, lambda: None)
    request.finish = meter.guarded("stt", model, functools.partial(_finish, meter, request))
    if attempts > 1:
        request.note(attempt=attempts)
    if is_probe():
        request.note(purpose=RECOVERY)
    meter.begin(request, within)
    return request


def _answered(request: Request, event: SpeechEvent) -> None:
    request.change(request_id=event.request_id or None, estimated=False)
    request.note(estimate=None)
    if not any((each.text or "").strip() for each in event.alternatives):
        request.note(purpose=request.row.metadata.get("purpose", NO_WORDS))
    request.finish()


def _finish(meter: Meter, request: Request) -> None:
    if meter.is_open(request):
        if request.refused:
            request.change(audio_ms=0, estimated=False)
            request.note(estimate=None)
        request.change(duration_ms=request.age_ms())
        request.note(open=None)
        meter.end(request)
        failed = request.row.error is not None or request.row.cancelled
        if failed and "purpose" not in request.row.metadata:
            meter.unanswered.append(request.row)
