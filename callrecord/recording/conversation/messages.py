"""Messages of the outbox, made from LiveKit's chat items."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from livekit.agents import ChatMessage, FunctionCall
from livekit.agents.llm import MetricsReport

from callrecord.events import Message, now
from callrecord.recording.conversation.plausible import plausible

_LATENCIES: Final = {
    "transcription_delay_ms": "transcription_delay",
    "end_of_turn_delay_ms": "end_of_turn_delay",
    "turn_completed_delay_ms": "on_user_turn_completed_delay",
    "llm_ttft_ms": "llm_node_ttft",
    "first_sentence_ms": "llm_node_ttfs",
    "tts_ttfb_ms": "tts_node_ttfb",
    "playout_delay_ms": "playback_latency",
    "e2e_latency_ms": "e2e_latency",
}
"""Columns of a turn's latencies, and LiveKit's names of them."""

SENDER = "participant_identity"
"""Key in a chat message's `extra`, with which an app names who has typed it."""


def when(item: ChatMessage | FunctionCall) -> datetime:
    """Return when LiveKit made the item."""
    return _time(item.created_at) or now()


def committed(message: Message, item: ChatMessage, began: float | None = None) -> Message:
    """Return the message with all that the committed item tells.

    Args:
        message: What is known so far.
        item: LiveKit's.
        began: When the reply was begun, if it is one, in seconds since 1970.
    """
    metrics = item.metrics
    told: Mapping[str, Any] = metrics
    latencies, implausible = plausible(
        {column: _ms(told.get(name)) for column, name in _LATENCIES.items()},
        ahead=_is_ahead(metrics, began),
    )
    return msgspec.structs.replace(
        message,
        content=item.text_content or "",
        interrupted=item.interrupted,
        model=_model(item) or message.model,
        speech_started_at=_time(metrics.get("started_speaking_at")),
        speech_ended_at=_time(metrics.get("stopped_speaking_at")),
        metadata=_extra(item) | implausible,
        **latencies,
    )


def _is_ahead(metrics: MetricsReport, began: float | None) -> bool:
    """Whether a reply was begun before the caller's last word, as far as is known."""
    sounded, whole = metrics.get("started_speaking_at"), metrics.get("e2e_latency")
    return began is None or sounded is None or whole is None or began < sounded - whole


def _model(item: ChatMessage) -> str | None:
    """Return the model that made the item: of several providers the one that did answer."""
    metrics = item.metrics
    for maker in (
        metrics.get("stt_metadata"),
        metrics.get("llm_metadata"),
        metrics.get("tts_metadata"),  # of words that no model found
    ):
        if maker is not None:
            return maker.get("model_name")
    return None


def _extra(item: ChatMessage) -> dict[str, Any]:
    extra = {name: value for name, value in item.extra.items() if name != SENDER}
    return {"extra": extra} if extra else {}


def _time(seconds: float | None) -> datetime | None:
    return None if not seconds else datetime.fromtimestamp(seconds, UTC)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
