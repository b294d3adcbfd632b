"""Models that stream, with LiveKit's own streams: what they tell, and when, is a test's to say."""

import asyncio
from typing import Any

from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, stt, tts

Seen = stt.SpeechEventType
SECOND = rtc.AudioFrame(bytes(32_000), 16_000, 1, 16_000)


class StreamingSTT(stt.STT[str]):
    """Gives out the events that a test puts in."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.events: asyncio.Queue[stt.SpeechEvent | Exception] = asyncio.Queue()

    @property
    def model(self) -> str:
        """Name of the model."""
        return "ear-1"

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return "tests"

    def said(self, text: str) -> None:
        """Let the model find words."""
        words = stt.SpeechData(language="en", text=text)  # type: ignore[arg-type]
        self.events.put_nowait(stt.SpeechEvent(Seen.FINAL_TRANSCRIPT, alternatives=[words]))

    def used(self, seconds: float) -> None:
        """Let the model tell what audio it counts."""
        usage = stt.RecognitionUsage(audio_duration=seconds)
        self.events.put_nowait(stt.SpeechEvent(Seen.RECOGNITION_USAGE, recognition_usage=usage))

    def stream(
        self,
        *,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> stt.RecognizeStream:
        """Return a stream."""
        return _Hearing(self, conn_options)

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError


class _Hearing(stt.RecognizeStream):
    def __init__(self, model: StreamingSTT, options: APIConnectOptions) -> None:
        super().__init__(stt=model, conn_options=options)
        self._events = model.events

    async def _run(self) -> None:
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            self._event_ch.send_nowait(event)


class StreamingTTS(tts.TTS[str]):
    """Speaks what it is given as it comes, a second of silence for all of it."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True), sample_rate=16_000, num_channels=1
        )

    def synthesize(self, *_: Any, **__: Any) -> tts.ChunkedStream:
        """Unused: it streams."""
        raise NotImplementedError

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Return a stream."""
        return _Speaking(tts=self, conn_options=conn_options)


class _Speaking(tts.SynthesizeStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="speech-1",
            sample_rate=16_000,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id="1")
        async for token in self._input_ch:
            if isinstance(token, str):
                self._mark_started()
        output_emitter.push(bytes(32_000))
        output_emitter.end_segment()
