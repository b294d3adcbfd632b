"""Messages of the outbox, made from LiveKit's chat items."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
from livekit.agents import ChatMessage, FunctionCall, FunctionCallOutput

from callrecord.db.events import Message, new_id, now

SENDER = "participant_identity"
"""Key in a chat message's `extra`, with which an app names who has typed it."""


def when(item: ChatMessage | FunctionCall) -> datetime:
    """Return when LiveKit made the item."""
    return _time(item.created_at) or now()


def committed(message: Message, item: ChatMessage) -> Message:
    """Return the message with all that the committed item tells."""
    metrics = item.metrics
    return msgspec.structs.replace(
        message,
        content=item.text_content or "",
        interrupted=item.interrupted,
        model=_model(item) or message.model,
        speech_started_at=_time(metrics.get("started_speaking_at")),
        speech_ended_at=_time(metrics.get("stopped_speaking_at")),
        transcription_delay_ms=_ms(metrics.get("transcription_delay")),
        end_of_turn_delay_ms=_ms(metrics.get("end_of_turn_delay")),
        llm_ttft_ms=_ms(metrics.get("llm_node_ttft")),
        tts_ttfb_ms=_ms(metrics.get("tts_node_ttfb")),
        e2e_latency_ms=_ms(metrics.get("e2e_latency")),
        metadata=_extra(item),
    )


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


def tool_call(call: FunctionCall, output: FunctionCallOutput | None) -> Message:
    """Return a function call with its result, as a message in its place in the conversation."""
    result = None if output is None else output.output
    return Message(
        id=new_id(),
        role="system",
        content=f"{call.name}({call.arguments}) -> {result}",
        at=when(call),
        metadata={
            "kind": "tool_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": _json(call.arguments),
            "result": result,
            "is_error": output.is_error if output is not None else False,
        },
    )


def _time(seconds: float | None) -> datetime | None:
    return None if not seconds else datetime.fromtimestamp(seconds, UTC)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
