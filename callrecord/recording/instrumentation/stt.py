"""Speech to text: streams, and requests for whole utterances.

A provider reports the usage of a stream piece by piece, in LiveKit's metrics. The audio between the
last report and the end of the stream, if it had words in it, is recorded as a separate, estimated
request. So is the whole stream of a model that never reports.

For whole utterances, each attempt is a request with its audio. LiveKit reports only attempts that
were answered: not one that failed or was cancelled because the caller had left, although its audio
was sent.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from livekit import rtc
from livekit.agents.stt import STT, RecognizeStream, SpeechEvent, SpeechEventType, StreamAdapter
from livekit.agents.utils import AudioBuffer
from livekit.agents.utils.audio import calculate_audio_duration

from callrecord.recording.instrumentation.channel import Watched
from callrecord.recording.instrumentation.lookups import is_probe
from callrecord.recording.usage.meter import Meter, meter_here
from callrecord.recording.usage.requests import (
    AUDIO,
    NO_WORDS,
    RECOVERY,
    Attempt,
    Request,
    around,
    attempting,
    row_of,
    was_refused,
)

_WORDS: Final = (
    SpeechEventType.INTERIM_TRANSCRIPT,
    SpeechEventType.PREFLIGHT_TRANSCRIPT,
    SpeechEventType.FINAL_TRANSCRIPT,
)


class STTStreamObserver:
    """Observes one stream; its attempts run one after the other."""

    def __init__(
        self, meter: Meter, stream: RecognizeStream, model: STT[Any], _speech_id: str | None
    ) -> None:
        """Attach to a stream that has sent nothing yet."""
        self._meter = meter
        self._model = model
        self._attempts = 0
        self._within = around("stt")
        self._own = Attempt()
        self._given_s = 0.0
        self._words = self._final = False
        self._error: Exception | None = None
        self._close = meter.guarded("stt", model, self._close_attempt)
        handler = meter.guarded("stt", model, self._event)
        stream._event_ch = Watched(stream._event_ch, handler)  # type: ignore[assignment]  # noqa: SLF001
        push = stream.push_frame

        def pushed(frame: rtc.AudioFrame) -> None:
            push(frame)
            self._given_s += frame.duration

        stream.push_frame = pushed  # type: ignore[method-assign]

    async def run(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Run an attempt of the stream, as the stream itself would."""
        self._attempts += 1
        self._error = None
        with attempting("stt") as self._own:
            try:
                await attempt()
            except Exception as error:
                self._error = error
                raise
            finally:
                self._close()

    def _event(self, event: SpeechEvent) -> None:
        if event.type in _WORDS:
            self._words = True
            self._final = self._final or event.type is SpeechEventType.FINAL_TRANSCRIPT
        elif event.type is SpeechEventType.RECOGNITION_USAGE and event.recognition_usage:
            reported_s = event.recognition_usage.audio_duration
            self._meter.estimator.learn_hearing(self._model.model, self._given_s, reported_s)
            self._begin_piece()

    def _begin_piece(self) -> None:
        self._given_s = 0.0
        self._words = self._final = False

    def _close_attempt(self) -> None:
        """Record the audio since the last report if it had words, and record any failure."""
        if not self._words and self._error is None:
            return
        # Another stream records it, or the requests within this attempt do.
        if self._within is not None or self._own.passed_on:
            return
        # An attempt that found words was not refused, even if it failed later.
        refused = self._error is not None and not self._words and was_refused(self._error)
        heard_s = self._given_s if self._words else 0.0
        learned = self._meter.estimator.hearing(self._model.model)
        share = 1.0 if learned is None else learned
        row = row_of(
            "stt",
            self._model,
            audio_ms=round(heard_s * share * 1000),
            error=None if self._error is None else type(self._error).__name__,
            estimated=not refused,
            metadata={"estimate": {"method": "audio", "share": round(share, 3)}},
        )
        if self._attempts > 1:
            row.metadata["attempt"] = self._attempts
        if refused:
            del row.metadata["estimate"]
        self._meter.add(row)
        if learned is None and self._final:
            self._meter.told_nothing(row)
        self._begin_piece()


_Attempt = Callable[..., Awaitable[SpeechEvent]]
_attempts: "ContextVar[int]" = ContextVar("callrecord_stt_attempts", default=0)


def watch_recognition(model: STT[Any]) -> None:
    """Observe each attempt of the recognition that starts in this task."""
    _attempts.set(0)
    attempt = model._recognize_impl  # noqa: SLF001
    if not isinstance(attempt, _ObservedRecognition) and asks_itself(model):
        model._recognize_impl = _ObservedRecognition(model, attempt)  # type: ignore[method-assign]  # noqa: SLF001


def asks_itself(model: STT[Any]) -> bool:
    """Whether a model calls a provider, and does not only wrap another model."""
    return model._recognize_metrics_needed and not isinstance(model, StreamAdapter)  # noqa: SLF001


class _ObservedRecognition:
    """Wraps the method that a plugin implements; a model may outlive the call."""

    def __init__(self, model: STT[Any], attempt: _Attempt) -> None:
        self._model = model
        self._attempt = attempt

    async def __call__(self, buffer: AudioBuffer, **named: Any) -> SpeechEvent:
        meter = meter_here()
        if meter is None:
            return await self._attempt(buffer, **named)
        guarded = functools.partial(meter.guarded, "stt", self._model)
        within = around("stt")
        outermost = (within and within.outermost) or self._model
        request = guarded(_begin)(meter, self._model, buffer, within, outermost)
        if request is None:
            return await self._attempt(buffer, **named)
        try:
            with attempting("stt") as own:
                own.request, own.outermost = request, outermost
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
            # LiveKit reports the outermost model, by its name.
            meter.utterances_of(self._model).answered(answered.row)
            if within is not None:
                within.answered = answered
        return event


def _begin(
    meter: Meter, model: STT[Any], buffer: AudioBuffer, within: Attempt | None, outermost: STT[Any]
) -> Request:
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
    request.finish = meter.guarded(
        "stt", model, functools.partial(_finish, meter, request, outermost)
    )
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


def _finish(meter: Meter, request: Request, outermost: STT[Any]) -> None:
    if meter.is_open(request):
        if request.refused:
            request.change(audio_ms=0, estimated=False)
            request.note(estimate=None)
        request.change(duration_ms=request.age_ms())
        request.note(open=None)
        meter.end(request)
        failed = request.row.error is not None or request.row.cancelled
        if failed and "purpose" not in request.row.metadata:
            meter.utterances_of(outermost).failed(request.row)
