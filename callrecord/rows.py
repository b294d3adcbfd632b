"""Rows of the tables and of `active_calls_summary`: each field has the name of its column.

None is SQL's null. Times are aware, in UTC. The schema's comments and docs/tables.md describe the
columns. Names end with their unit: `_ms` milliseconds, `_seconds` seconds.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from callrecord.events import ParticipantType, Role, UsageKind

CallStatus = Literal["pending", "active", "completed", "failed"]
ParticipantKind = Literal["standard", "sip", "agent", "egress", "ingress", "connector"]
Metadata = dict[str, Any]
"""A JSON object; any other value that a front end wrote is under the key `value`."""


@dataclass(frozen=True, slots=True)
class Call:
    """A row of voice_calls: one session of a LiveKit room."""

    id: UUID
    user_id: UUID | None
    session_id: str
    room_name: str
    status: CallStatus
    started_at: datetime | None
    connected_at: datetime | None
    ended_at: datetime | None
    duration_seconds: int | None
    recording_url: str | None
    transcript: str | None
    ai_agent_used: bool | None
    agent_identity: str | None
    metadata: Metadata | None
    total_tokens_used: int
    created_at: datetime
    updated_at: datetime
    room_sid: str | None
    job_id: str | None
    job_started_at: datetime | None
    worker_id: UUID | None
    end_reason: str | None
    swept_at: datetime | None
    usage_complete: bool
    cost: Decimal | None
    callee_id: UUID | None
    made_by: str
    usage_gaps: list[str] | None
    unpriced_requests: int
    transcript_digest: str | None


@dataclass(frozen=True, slots=True)
class ActiveCall:
    """A row of active_calls_summary: an active call and its participants."""

    id: UUID
    session_id: str
    room_name: str
    user_id: UUID | None
    user_name: str | None
    user_email: str | None
    status: CallStatus
    started_at: datetime | None
    ai_agent_used: bool | None
    participant_count: int
    participants: list[str]


@dataclass(frozen=True, slots=True)
class Message:
    """A row of voice_messages: one turn, or one function call (role `system`)."""

    id: UUID
    call_id: UUID
    role: Role
    content: str
    audio_url: str | None
    audio_duration_ms: int | None
    timestamp: datetime
    sequence_number: int | None
    tokens_used: int | None
    model_used: str | None
    metadata: Metadata | None
    interrupted: bool
    participant_identity: str | None
    speech_id: str | None
    speech_started_at: datetime | None
    speech_ended_at: datetime | None
    transcription_delay_ms: int | None
    end_of_turn_delay_ms: int | None
    llm_ttft_ms: int | None
    tts_ttfb_ms: int | None
    e2e_latency_ms: int | None
    revision: int
    generated_content: str | None
    turn_completed_delay_ms: int | None
    first_sentence_ms: int | None
    playout_delay_ms: int | None
    author_id: UUID | None


@dataclass(frozen=True, slots=True)
class Leg:
    """A row of call_participants: one stay in the room."""

    id: UUID
    call_id: UUID
    user_id: UUID | None
    participant_identity: str
    participant_name: str | None
    participant_type: ParticipantType | None
    joined_at: datetime
    left_at: datetime | None
    duration_seconds: int | None
    is_muted: bool | None
    metadata: Metadata | None
    participant_sid: str | None
    kind: ParticipantKind
    disconnect_reason: str | None
    closed_by_sweep: bool
    revision: int
    direction: str | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Usage:
    """A row of voice_usage: one request to a model."""

    id: UUID
    call_id: UUID
    message_id: UUID | None
    kind: UsageKind
    provider: str | None
    model: str | None
    request_id: str | None
    speech_id: str | None
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    total_tokens: int
    audio_ms: int | None
    characters: int | None
    duration_ms: int | None
    ttft_ms: int | None
    cancelled: bool
    estimated: bool
    cost: Decimal | None
    created_at: datetime
    metadata: Metadata
    revision: int
    cache_creation_tokens: int
    input_audio_tokens: int
    cached_audio_tokens: int
    output_audio_tokens: int
    error: str | None
    price_ids: list[int] | None
