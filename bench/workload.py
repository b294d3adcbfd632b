"""What is recorded of a call, as events and as rows: the same content for every way to write it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from callrecord.events import (
    CallConnected,
    CallEnded,
    CallStarted,
    Message,
    Usage,
    new_id,
    now,
)

SENTENCE = (
    "I looked that up for you: the order left our house on Tuesday and should reach you by the "
    "end of this week, and you will get a message on the morning of its delivery."
)
COLUMNS = (
    "id",
    "call_id",
    "role",
    "content",
    "timestamp",
    "tokens_used",
    "model_used",
    "metadata",
    "participant_identity",
    "speech_id",
    "speech_started_at",
    "speech_ended_at",
    "transcription_delay_ms",
    "end_of_turn_delay_ms",
    "audio_duration_ms",
    "revision",
)


def header() -> CallStarted:
    """Return the first event of a new call."""
    key = new_id()
    return CallStarted(
        key=key,
        job_id=f"AJ_{key.hex[-12:]}",
        room_name=f"call-{key}",
        room_sid=f"RM_{key.hex[-12:]}",
        at=now(),
        agent_identity=f"agent-AJ_{key.hex[-12:]}",
    )


def message(number: int) -> Message:
    """Return a turn as it is recorded when LiveKit commits it; odd numbers are the agent's."""
    at = now()
    agent = number % 2 == 1
    return Message(
        id=new_id(),
        role="assistant" if agent else "user",
        content=SENTENCE if agent else SENTENCE[:72],
        at=at,
        speech_started_at=at - timedelta(seconds=3),
        speech_ended_at=at - timedelta(milliseconds=640),
        participant_identity="agent-AJ_example" if agent else "caller-0d9f31",
        speech_id=f"speech_{number:012d}" if agent else None,
        model="gpt-4.1-mini" if agent else "gpt-4o-mini-transcribe",
        tokens=180 if agent else 0,
        transcription_delay_ms=None if agent else 213,
        end_of_turn_delay_ms=None if agent else 540,
    )


def requests(turn: Message) -> list[Usage]:
    """Return the requests that a turn took, with models that the public price list has."""
    if turn.role == "user":
        return [_request("stt", "gpt-4o-mini-transcribe", turn, input_tokens=43, audio_ms=4300)]
    return [
        _request("llm", "gpt-4.1-mini", turn, input_tokens=900, output_tokens=42),
        _request("tts", "gpt-4o-mini-tts", turn, input_tokens=40, output_tokens=180),
    ]


def _request(kind: str, model: str, turn: Message, **used: Any) -> Usage:
    return Usage(
        id=new_id(),
        kind=kind,
        at=turn.at,
        message_id=turn.id,
        provider="api.openai.com",
        model=model,
        request_id=f"req_{turn.id.hex}_{kind}",
        speech_id=turn.speech_id,
        total_tokens=used.get("input_tokens", 0) + used.get("output_tokens", 0),
        duration_ms=640,
        ttft_ms=210,
        **used,
    )


def call_events(messages: int) -> list[Any]:
    """Return the events of a whole call after its header, with so many messages."""
    return [
        CallConnected(at=now()),
        *(message(number) for number in range(messages)),
        CallEnded(at=now(), end_reason="caller_hangup"),
    ]


def row(turn: Message, call_id: UUID, revision: int) -> tuple[Any, ...]:
    """Return a message as the values of COLUMNS."""
    started, ended = turn.speech_started_at, turn.speech_ended_at
    spoken = round((ended - started).total_seconds() * 1000) if started and ended else None
    return (
        turn.id,
        call_id,
        turn.role,
        turn.content,
        turn.at,
        turn.tokens,
        turn.model,
        "{}",
        turn.participant_identity,
        turn.speech_id,
        started,
        ended,
        turn.transcription_delay_ms,
        turn.end_of_turn_delay_ms,
        spoken,
        revision,
    )
