"""What LiveKit tells of requests."""

from datetime import UTC, datetime
from typing import Any

from livekit.agents.metrics import LLMMetrics, STTMetrics
from livekit.agents.metrics.base import Metadata

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SOURCE = Metadata(model_name="m-1", model_provider="acme")


def llm(speech_id: str | None = "speech_1", **changes: Any) -> LLMMetrics:
    """Return a language model's metrics."""
    told: dict[str, Any] = {
        "label": "llm",
        "request_id": "req_1",
        "timestamp": AT.timestamp(),
        "duration": 1.25,
        "ttft": 0.5,
        "cancelled": False,
        "completion_tokens": 7,
        "prompt_tokens": 30,
        "prompt_cached_tokens": 20,
        "reasoning_tokens": 2,
        "total_tokens": 37,
        "tokens_per_second": 10.0,
        "speech_id": speech_id,
        "metadata": SOURCE,
    }
    return LLMMetrics(**told | changes)


def stt(request_id: str, audio_s: float = 2.0) -> STTMetrics:
    """Return those of speech to text that was asked for one whole utterance."""
    return STTMetrics(
        label="stt",
        request_id=request_id,
        timestamp=AT.timestamp(),
        duration=0.2,
        audio_duration=audio_s,
        streamed=False,
        metadata=SOURCE,
    )
