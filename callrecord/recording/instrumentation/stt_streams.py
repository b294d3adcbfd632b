"""Streams of speech to text: the audio that was sent since the provider last told of any.

What a stream tells is in LiveKit's metrics, piece by piece. What it heard between the last of them
and its end, with words in it, is a request of its own, estimated; so is all of a stream whose
model never tells.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from livekit import rtc
from livekit.agents.stt import STT, RecognizeStream, SpeechEvent, SpeechEventType

from callrecord.recording.instrumentation.channel import Watched
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.nesting import Attempt, around, attempting
from callrecord.recording.usage.requests import row_of, was_refused

_WORDS: Final = (
    SpeechEventType.INTERIM_TRANSCRIPT,
    SpeechEventType.PREFLIGHT_TRANSCRIPT,
    SpeechEventType.FINAL_TRANSCRIPT,
)


class STTWatch:
    """Watches one stream; its attempts come one after the other."""

    def __init__(
        self, meter: Meter, stream: RecognizeStream, model: STT[Any], _speech_id: str | None
    ) -> None:
        """Begin; before the stream has sent anything."""
        self._meter = meter
        self._model = model
        self._attempts = 0
        self._within = around("stt")
        self._own = Attempt()
        self._given_s = 0.0
        self._words = self._final = False
        self._error: Exception | None = None
        self._close = meter.guarded("stt", model, self._close_attempt)
        told = meter.guarded("stt", model, self._event)
        stream._event_ch = Watched(stream._event_ch, told)  # type: ignore[assignment]  # noqa: SLF001
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
            told_s = event.recognition_usage.audio_duration
            self._meter.estimator.learn_hearing(self._model.model, self._given_s, told_s)
            self._begin_piece()

    def _begin_piece(self) -> None:
        self._given_s = 0.0
        self._words = self._final = False

    def _close_attempt(self) -> None:
        """Book what was heard since the last told piece, and a failure in any case."""
        if not self._words and self._error is None:
            return
        # Another stream tells of it, or the utterances do that were asked for within.
        if self._within is not None or self._own.passed_on:
            return
        # One that had found words was not refused, whatever came then.
        refused = self._error is not None and not self._words and was_refused(self._error)
        heard_s = self._given_s if self._words else 0.0
        share = self._meter.estimator.hearing(self._model.model)
        row = row_of(
            "stt",
            self._model,
            audio_ms=round(heard_s * (1.0 if share is None else share) * 1000),
            error=None if self._error is None else type(self._error).__name__,
            estimated=not refused,
            metadata={"estimate": {"method": "audio", "share": round(share or 1.0, 3)}},
        )
        if self._attempts > 1:
            row.metadata["attempt"] = self._attempts
        if refused:
            del row.metadata["estimate"]
        self._meter.add(row)
        if share is None and self._final:
            self._meter.told_nothing(row)
        self._begin_piece()
