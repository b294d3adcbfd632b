"""Combines several providers into one model, with LiveKit's FallbackAdapter."""

from typing import Any

from livekit.agents import llm, stt, tts
from livekit.agents.stt import STT, SpeechEvent, StreamAdapter
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)
from livekit.agents.utils import AudioBuffer

from agent.models.build import Models


def hearing(models: Models, timeout_s: float) -> STT[Any] | None:
    """Return speech to text, if there is any."""
    several = list(models.stt)
    if len(several) <= 1:
        return next(iter(several), None)
    if any(model.capabilities.streaming for model in several):
        return stt.FallbackAdapter(
            several, vad=models.vad, attempt_timeout=timeout_s, max_retry_per_stt=0
        )
    # For whole utterances, LiveKit's adapter alone would change providers only between two of
    # them, and the utterance that the first one failed to hear would be lost.
    each: list[STT[Any]] = [_Whole(stt=model, vad=models.vad) for model in several]
    adapter = stt.FallbackAdapter(each, attempt_timeout=timeout_s, max_retry_per_stt=0)
    return StreamAdapter(stt=adapter, vad=models.vad)


def thinking(models: Models, timeout_s: float) -> llm.LLM[Any] | None:
    """Return the language model, if there is any."""
    several = list(models.llm)
    if len(several) <= 1:
        return next(iter(several), None)
    return llm.FallbackAdapter(several, attempt_timeout=timeout_s)


def speaking(models: Models) -> tts.TTS[Any] | None:
    """Return text to speech, if there is any."""
    several = list(models.tts)
    if len(several) <= 1:
        return next(iter(several), None)
    return tts.FallbackAdapter(several, max_retry_per_tts=0)


class _Whole(StreamAdapter):
    """A model for whole utterances, which this adapter does not meter a second time."""

    async def recognize(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechEvent:
        return await self.wrapped_stt.recognize(
            buffer, language=language, conn_options=conn_options
        )
