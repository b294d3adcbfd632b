"""LiveKit's metrics as requests of the ledger."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from livekit.agents.metrics import LLMMetrics, RealtimeModelMetrics, STTMetrics, TTSMetrics
from livekit.agents.metrics.base import (
    DecisionMetrics,
    EOTInferenceMetrics,
    InterruptionMetrics,
)

from callrecord.events import Usage, new_id


def _common(
    metrics: LLMMetrics | RealtimeModelMetrics | STTMetrics | TTSMetrics | DecisionMetrics,
    speech_id: str | None,
) -> dict[str, Any]:
    return _source(metrics) | {
        "speech_id": speech_id,
        "request_id": metrics.request_id or None,
        "duration_ms": _ms(metrics.duration),
    }


def _source(metrics: Any) -> dict[str, Any]:
    return {
        "id": new_id(),
        "at": datetime.fromtimestamp(metrics.timestamp, UTC),
        "provider": metrics.metadata.model_provider if metrics.metadata else None,
        "model": metrics.metadata.model_name if metrics.metadata else None,
    }


def _ms(seconds: float | None) -> int | None:
    # LiveKit reports -1 for "there was none".
    return None if seconds is None or seconds < 0 else round(seconds * 1000)


def usage_of(metrics: Any) -> Usage | None:
    """Return the request that LiveKit's metrics report; None if they report none.

    Models that run in the worker itself (voice activity, turn detection) have no requests.
    """
    read = _READERS.get(type(metrics))
    return None if read is None else read(metrics)


def _llm(metrics: LLMMetrics) -> Usage:
    return Usage(
        kind="llm",
        input_tokens=metrics.prompt_tokens,
        cached_input_tokens=metrics.prompt_cached_tokens,
        output_tokens=metrics.completion_tokens,
        reasoning_tokens=metrics.reasoning_tokens,
        total_tokens=metrics.total_tokens,
        ttft_ms=_ms(metrics.ttft),
        cancelled=metrics.cancelled,
        cache_creation_tokens=metrics.cache_creation_tokens,
        **_common(metrics, metrics.speech_id),
    )


def _realtime(metrics: RealtimeModelMetrics) -> Usage | None:
    if not metrics.request_id:
        return _connection(metrics)
    asked, answered = metrics.input_token_details, metrics.output_token_details
    cached = asked.cached_tokens_details
    return Usage(
        kind="realtime",
        input_tokens=metrics.input_tokens,
        cached_input_tokens=asked.cached_tokens,
        input_audio_tokens=asked.audio_tokens,
        cached_audio_tokens=cached.audio_tokens if cached else 0,
        output_tokens=metrics.output_tokens,
        output_audio_tokens=answered.audio_tokens,
        total_tokens=metrics.total_tokens,
        ttft_ms=_ms(metrics.ttft),
        cancelled=metrics.cancelled,
        **_common(metrics, None),
    )


def _connection(metrics: RealtimeModelMetrics) -> Usage | None:
    """Return a realtime model's connection, which some providers bill by its duration."""
    if not metrics.session_duration:
        return None
    session_ms = {"session_ms": _ms(metrics.session_duration)}
    return Usage(kind="realtime", metadata=session_ms, **_common(metrics, None))


def _stt(metrics: STTMetrics) -> Usage | None:
    if not metrics.audio_duration and not metrics.total_tokens:  # a connection that was opened
        return None
    return Usage(
        kind="stt",
        input_tokens=metrics.input_tokens,
        input_audio_tokens=metrics.input_audio_tokens,
        output_tokens=metrics.output_tokens,
        total_tokens=metrics.total_tokens,
        audio_ms=_ms(metrics.audio_duration),
        **_common(metrics, None),
    )


def _tts(metrics: TTSMetrics) -> Usage:
    return Usage(
        kind="tts",
        input_tokens=metrics.input_tokens,
        output_tokens=metrics.output_tokens,
        total_tokens=metrics.input_tokens + metrics.output_tokens,
        characters=metrics.characters_count,
        audio_ms=_ms(metrics.audio_duration),
        ttft_ms=_ms(metrics.ttfb),
        cancelled=metrics.cancelled,
        **_common(metrics, metrics.speech_id),
    )


def _decision(metrics: DecisionMetrics) -> Usage:
    asked, answered = metrics.input_tokens or 0, metrics.output_tokens or 0
    return Usage(
        kind="decision",
        input_tokens=asked,
        output_tokens=answered,
        total_tokens=asked + answered,
        **_common(metrics, None),
    )


def _watching(metrics: InterruptionMetrics | EOTInferenceMetrics) -> Usage | None:
    """Return the requests of a model that follows the conversation, reported in batches."""
    if not metrics.num_requests:
        return None
    return Usage(
        kind="interruption" if isinstance(metrics, InterruptionMetrics) else "eot",
        duration_ms=_ms(metrics.total_duration),
        metadata={"requests": metrics.num_requests},
        **_source(metrics),
    )


_READERS: dict[type[Any], Callable[[Any], Usage | None]] = {
    LLMMetrics: _llm,
    RealtimeModelMetrics: _realtime,
    STTMetrics: _stt,
    TTSMetrics: _tts,
    DecisionMetrics: _decision,
    InterruptionMetrics: _watching,
    EOTInferenceMetrics: _watching,
}
