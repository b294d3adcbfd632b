"""Models before others of their kind, as users write them: to cache, to edit, to choose."""

from collections.abc import Sequence
from typing import Any

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, APIError, llm, stt, tts
from livekit.agents.utils import AudioBuffer


class PassingLLM(llm.LLM[str]):
    """Asks each of its models, and passes on what the last of them says."""

    def __init__(self, *models: llm.LLM[Any]) -> None:
        super().__init__()
        self.models = models

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Return a stream of its own."""
        return _Thinking(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Thinking(llm.LLMStream):
    _llm: PassingLLM

    async def _run(self) -> None:
        *drafting, answering = self._llm.models
        for model in drafting:
            await model.chat(chat_ctx=self._chat_ctx).collect()
        async with answering.chat(chat_ctx=self._chat_ctx) as stream:
            async for chunk in stream:
                self._event_ch.send_nowait(chunk)


class PassingTTS(tts.TTS[str]):
    """Has another model speak what it has not kept."""

    def __init__(self, model: tts.TTS[Any]) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=model.sample_rate,
            num_channels=model.num_channels,
        )
        self.speaker = model

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Return a stream of its own."""
        return _Speaking(tts=self, input_text=text, conn_options=conn_options)


class _Speaking(tts.ChunkedStream):
    _tts: PassingTTS

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        speaker = self._tts.speaker
        output_emitter.initialize(
            request_id="passed-on",
            sample_rate=speaker.sample_rate,
            num_channels=speaker.num_channels,
            mime_type="audio/pcm",
        )
        async with speaker.synthesize(self.input_text) as stream:
            async for audio in stream:
                output_emitter.push(bytes(audio.frame.data))
        output_emitter.flush()


class PassingSTT(stt.STT[str]):
    """Asks its models in turn until one answers."""

    def __init__(self, models: Sequence[stt.STT[Any]]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._models = models

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, conn_options: APIConnectOptions, **_: Any
    ) -> stt.SpeechEvent:
        *first, last = self._models
        for model in first:
            try:
                return await model.recognize(buffer, conn_options=conn_options)
            except APIError:
                continue
        return await last.recognize(buffer, conn_options=conn_options)
