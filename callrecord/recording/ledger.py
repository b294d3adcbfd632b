"""The ledger: every request to a model, and the message it was made for.

LiveKit's metrics name the speech they belong to; a message of that speech comes later. Until then
a request waits here, and is in the outbox already, without a message.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from livekit.agents.metrics import LLMMetrics, RealtimeModelMetrics, STTMetrics, TTSMetrics

from callrecord.db.events import Event, Usage, new_id

HEARD = "heard"
"""Stands for the speech of a user's turn, which LiveKit gives no id."""


class Ledger:
    """Records model requests and joins them to messages by speech id."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append = append
        self._waiting: defaultdict[str, list[Usage]] = defaultdict(list)

    def collected(self, metrics: Any) -> str | None:
        """Take in one of LiveKit's metrics; those that are no model request are not kept.

        Returns:
            The speech that the request was made for, if it is told.
        """
        usage = _usage(metrics)
        if usage is None:
            return None
        self._append(usage)
        speech_id = HEARD if usage.kind == "stt" else usage.speech_id
        if speech_id is not None:
            self._waiting[speech_id].append(usage)
        return speech_id

    def assign(self, speech_id: str, message_id: UUID) -> int:
        """Give what waits for a speech to a message of it.

        Returns:
            The language model's tokens among it.
        """
        waiting = self._waiting.pop(speech_id, [])
        for usage in waiting:
            self._append(msgspec.structs.replace(usage, message_id=message_id))
        return sum(usage.total_tokens for usage in waiting if usage.kind in ("llm", "realtime"))


def _usage(metrics: Any) -> Usage | None:
    match metrics:
        case LLMMetrics():
            return Usage(
                kind="llm",
                input_tokens=metrics.prompt_tokens,
                cached_input_tokens=metrics.prompt_cached_tokens,
                output_tokens=metrics.completion_tokens,
                reasoning_tokens=metrics.reasoning_tokens,
                total_tokens=metrics.total_tokens,
                ttft_ms=_ms(metrics.ttft),
                cancelled=metrics.cancelled,
                metadata=_cache_writes(metrics),
                **_common(metrics, metrics.speech_id),
            )
        case RealtimeModelMetrics() if metrics.request_id:  # else of a connection that was opened
            return Usage(
                kind="realtime",
                input_tokens=metrics.input_tokens,
                cached_input_tokens=metrics.input_token_details.cached_tokens,
                output_tokens=metrics.output_tokens,
                total_tokens=metrics.total_tokens,
                ttft_ms=_ms(metrics.ttft),
                cancelled=metrics.cancelled,
                **_common(metrics, None),
            )
        case STTMetrics() if metrics.audio_duration or metrics.total_tokens:  # likewise
            return Usage(
                kind="stt",
                input_tokens=metrics.input_tokens,
                output_tokens=metrics.output_tokens,
                total_tokens=metrics.total_tokens,
                audio_ms=_ms(metrics.audio_duration),
                **_common(metrics, None),
            )
        case TTSMetrics():
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
    return None


def _common(
    metrics: LLMMetrics | RealtimeModelMetrics | STTMetrics | TTSMetrics, speech_id: str | None
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "at": datetime.fromtimestamp(metrics.timestamp, UTC),
        "speech_id": speech_id,
        "provider": metrics.metadata.model_provider if metrics.metadata else None,
        "model": metrics.metadata.model_name if metrics.metadata else None,
        "request_id": metrics.request_id or None,
        "duration_ms": _ms(metrics.duration),
    }


def _cache_writes(metrics: LLMMetrics) -> dict[str, Any]:
    # Part of the input, at a price of its own with some providers.
    written = metrics.cache_creation_tokens
    return {"cache_creation_tokens": written} if written else {}


def _ms(seconds: float | None) -> int | None:
    # LiveKit says -1 for "there was none".
    return None if seconds is None or seconds < 0 else round(seconds * 1000)
