"""Messages of the outbox, made from LiveKit's chat items.

LiveKit once reported 203 s for a reply that took two: impossible latencies are set aside.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from livekit.agents import ChatMessage, FunctionCall
from livekit.agents.llm import MetricsReport

from callrecord.events import Message, now

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
"""The columns of a turn's latencies, and LiveKit's names for them."""

KNOWN_ITEMS: Final = 64
"""How many items are remembered: a provider finalises an item again within a few turns."""

SENDER = "participant_identity"
"""Key in a chat message's `extra` by which an app names the sender."""


def when(item: ChatMessage | FunctionCall) -> datetime:
    """Return when LiveKit made the item."""
    return _time(item.created_at) or now()


def committed(message: Message, item: ChatMessage, began: float | None = None) -> Message:
    """Return the message with the data of the committed item.

    Args:
        message: The message so far.
        item: LiveKit's item.
        began: When the reply was started, if it is one, in seconds since 1970.
    """
    metrics = item.metrics
    seconds: Mapping[str, Any] = metrics
    latencies, implausible = plausible(
        {column: _ms(seconds.get(name)) for column, name in _LATENCIES.items()},
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
    """Whether a reply was started before the caller's last word, as far as is known."""
    sounded, whole = metrics.get("started_speaking_at"), metrics.get("e2e_latency")
    return began is None or sounded is None or whole is None or began < sounded - whole


def _model(item: ChatMessage) -> str | None:
    """Return the model that made the item; with several providers, the one that answered."""
    metrics = item.metrics
    for maker in (
        metrics.get("stt_metadata"),
        metrics.get("llm_metadata"),
        metrics.get("tts_metadata"),  # for scripted words
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


LONGEST_MS: Final = 60_000
"""A caller who waited longer for an answer would have hung up."""

WHOLE: Final = "e2e_latency_ms"
PARTS: Final = ("llm_ttft_ms", "first_sentence_ms", "tts_ttfb_ms", "playout_delay_ms")
"""Columns of the parts of the whole, from the caller's last word to the agent's first sound."""


def plausible(
    reported: Mapping[str, int | None], *, ahead: bool = False
) -> tuple[dict[str, int | None], dict[str, Any]]:
    """Separate plausible latencies from impossible ones.

    If a part is longer than the whole, both are rejected: it is not known which is wrong.

    Args:
        reported: Milliseconds by column; None was not reported.
        ahead: Whether the reply may have started while the caller still spoke: its parts may be
            longer than the whole.

    Returns:
        The same columns, with None for impossible values; and metadata with these values, if any.
    """
    wrong = {
        column: value
        for column, value in reported.items()
        if value is not None and not 0 <= value <= LONGEST_MS
    }
    whole = None if ahead or WHOLE in wrong else reported.get(WHOLE)
    if whole is not None:
        parts = {part: reported.get(part) or 0 for part in PARTS if part not in wrong}
        longer = {part: value for part, value in parts.items() if value > whole}
        wrong |= longer | ({WHOLE: whole} if longer else {})
    kept = {column: None if column in wrong else value for column, value in reported.items()}
    return kept, {"implausible": wrong} if wrong else {}
