"""Streams of speech models: each attempt is a request, with the characters it was given."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from livekit.agents.tts import TTS, ChunkedStream, SynthesizedAudio, SynthesizeStream

from callrecord.recording.instrumentation.channel import Watched
from callrecord.recording.instrumentation.lookups import purpose
from callrecord.recording.usage.estimate import Speech
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.requests import (
    Attempt,
    Request,
    around,
    attempting,
    row_of,
)


class TTSStreamObserver:
    """Observes one stream; its attempts run one after the other.

    Providers bill characters, which are known, or tokens, which only some report. Audio still
    arrives after an attempt's method has returned, so a request ends with the stream. A stream
    that is opened ahead of its text sends nothing until there is some.
    """

    def __init__(
        self,
        meter: Meter,
        stream: ChunkedStream | SynthesizeStream,
        model: TTS[Any],
        speech_id: str | None,
    ) -> None:
        """Attach to a stream that has sent nothing yet."""
        self._meter = meter
        self._stream = stream
        self._model = model
        self._speech_id = speech_id
        self._purpose = purpose(speech_id)
        self._within = around("tts")
        self._own = Attempt()
        self._attempts = 0
        self._audio_s = 0.0
        self._request: Request | None = None
        self._waiting = False
        self._over = False
        guarded = functools.partial(meter.guarded, "tts", model)
        self._start = guarded(self._start_attempt)
        self._begin = guarded(self._begin_request)
        self._failed = guarded(self._note_failure)
        self._finish = guarded(self._finish_request)
        if isinstance(stream, SynthesizeStream):
            self._await_text(stream)
        channel = stream._event_ch  # noqa: SLF001 - where each plugin's `_run` answers
        stream._event_ch = Watched(channel, guarded(self._audio), self._finish)  # type: ignore[assignment]  # noqa: SLF001

    async def run(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Run an attempt of the stream, as the stream itself would."""
        self._finish()
        with attempting("tts") as self._own:
            self._start()
            try:
                await attempt()
                self._over = True
            except Exception as error:
                self._failed(error)
                self._finish()
                raise
            except BaseException:
                if self._request is not None:
                    self._request.change(cancelled=True)
                raise
            finally:
                self._waiting = False

    def _start_attempt(self) -> None:
        self._attempts += 1
        self._request = None
        self._over = False
        if self._attempts > 1:
            self._stream._set_token_usage()  # noqa: SLF001 - forget a failed attempt's report
        self._waiting = not self._text()
        if not self._waiting:
            self._begin_request()

    def _await_text(self, stream: SynthesizeStream) -> None:
        push = stream.push_text

        def pushed(token: str) -> None:
            push(token)
            if self._waiting and self._text():
                self._waiting = False
                self._begin()

        stream.push_text = pushed  # type: ignore[method-assign]

    def _note_failure(self, error: Exception) -> None:
        if self._request is not None:
            self._request.failed(error)

    def _begin_request(self) -> None:
        if self._own.passed_on:
            return
        self._audio_s = 0.0
        row = row_of(
            "tts",
            self._model,
            speech_id=self._speech_id,
            characters=len(self._text()),
            metadata={"open": True},
        )
        request = Request(row, self._finish)
        if self._attempts > 1:
            request.note(attempt=self._attempts)
        if self._purpose is not None:
            request.note(purpose=self._purpose)
        self._meter.begin(request, self._within)
        # It is recorded: LiveKit's metrics add nothing new to it.
        self._own.request = self._request = request

    def _audio(self, audio: SynthesizedAudio) -> None:
        request = self._request
        if request is None:
            return
        request.answered()
        self._audio_s += audio.frame.duration
        if audio.request_id and request.row.request_id is None:
            request.change(request_id=audio.request_id)
            self._meter.saw(request.row)

    def _finish_request(self) -> None:
        request = self._request
        if request is None or not self._meter.is_open(request):
            return
        audio_ms = round(self._audio_s * 1000)
        # A refused request is not billed.
        characters = 0 if request.refused else len(self._text())
        asked = getattr(self._stream, "_input_tokens", 0)
        answered = getattr(self._stream, "_output_tokens", 0)
        estimator, name = self._meter.estimator, self._model.model
        if asked or answered:
            estimator.learn_speech(name, Speech(characters, audio_ms, asked, answered))
        elif not request.refused:
            # Tokens are reported at the end. Without any sound, the text may not have been sent.
            asked, answered = estimator.speech(name, characters, audio_ms)
            cut = not self._over and not audio_ms
            request.change(estimated=bool(asked or answered) or cut)
        request.change(
            characters=characters,
            input_tokens=asked,
            output_tokens=answered,
            total_tokens=asked + answered,
            audio_ms=audio_ms,
            duration_ms=request.age_ms(),
        )
        request.note(open=None)
        self._meter.end(request)

    def _text(self) -> str:
        if isinstance(self._stream, ChunkedStream):
            return self._stream.input_text
        return self._stream._pushed_text  # noqa: SLF001 - not available elsewhere
