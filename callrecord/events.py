"""The events of a call: the format that recorder, outbox and store share.

An event that describes a row (a leg, a message, a model request) carries the whole row as known at
that moment. It may be sent again when more is known. The newest version of a row, by its sequence
in the outbox, wins, so it is safe to apply any event twice or late.

Times are aware datetimes in UTC. Ids are UUIDv7 made by the recorder (RFC 9562, section 5.7).
"""

from datetime import UTC, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
import uuid_utils.compat

Role = Literal["user", "assistant", "system"]
ParticipantType = Literal["user", "agent", "admin"]
UsageKind = str
"""One of USAGE_KINDS, or a later kind: a lower-case word."""
USAGE_KINDS = ("llm", "stt", "tts", "realtime")

COMPLETED = (
    "caller_hangup",
    "agent_hangup",
    "transferred",
    "room_closed",
    "dispatch_deleted",
    "silence",
    "max_duration",
)
FAILED = (
    "no_caller",
    "no_answer",
    "rejected",
    "not_served",
    "error",
    "drained",
    "worker_crashed",
    "worker_lost",
)
UPGRADED = ("missed",)
"""Also failed; only in calls that the basic schema recorded, no worker writes it."""

TALK_ON = ("transferred", "dispatch_deleted")
"""Ends at which only the agent left: the people may talk on, and their legs stay open."""

STRING_LIMIT = 64 * 1024
"""Longest string in characters; a longer one is cut and marked before it is recorded."""

_MARK = "\N{REPLACEMENT CHARACTER}"
_EVENT_LIMIT = STRING_LIMIT


def new_id() -> UUID:
    """Return a new UUIDv7; it is ordered by time, so that indexes grow at their end."""
    return uuid_utils.compat.uuid7()


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def status_of(end_reason: str) -> Literal["completed", "failed"]:
    """Return the call status of an end reason; an unknown reason counts as failed."""
    return "completed" if end_reason in COMPLETED else "failed"


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """Common shape of all events: JSON objects with a `type`; defaults are omitted."""


class CallStarted(_Event, frozen=True, tag="call_started"):
    """A job accepted a call. The first event in every outbox file; identifies the call's row.

    Attributes:
        key: Made by the recorder; the row's id, unless a front end created the row.
        call_id: `callId` in the job's or room's metadata, unchanged; may not be a uuid.
        room_sid: LiveKit's id of this session of the room; the name may be reused later.
    """

    key: UUID
    job_id: str
    room_name: str
    room_sid: str
    at: datetime
    room_created_at: datetime | None = None
    call_id: str | None = None
    worker_id: UUID | None = None
    agent_name: str = ""
    agent_identity: str = ""
    metadata: dict[str, Any] = {}

    @property
    def row_id(self) -> UUID:
        """Id of the call's row: the one that the front end named, or else the key.

        It is another one only where a row is found by its room's name, or the named one is not
        there; the row's `job_id` is the job's in any case.
        """
        try:
            return UUID(self.call_id or "")
        except ValueError:
            return self.key


class CallConnected(_Event, frozen=True, tag="call_connected"):
    """Caller and agent are both in the room."""

    at: datetime


class CallEnded(_Event, frozen=True, tag="call_ended"):
    """The call is over; `at` is when the last caller left, not when we cleaned up.

    Attributes:
        usage_complete: Whether the figures of every model request are in the ledger; None: unknown.
        usage_gaps: If not, one line for each model with unreported usage.
    """

    at: datetime
    end_reason: str
    detail: dict[str, Any] = {}
    usage_complete: bool | None = None
    usage_gaps: list[str] = []


class Leg(_Event, frozen=True, tag="leg"):
    """One stay of a participant in the room; each join starts a new leg.

    Attributes:
        direction: For a phone: "inbound" or "outbound".
        answered_at: For a phone: when the recorder saw that it was answered.
    """

    id: UUID
    identity: str
    joined_at: datetime
    name: str = ""
    participant_type: ParticipantType = "user"
    kind: str = "standard"
    sid: str = ""
    user_id: UUID | None = None
    left_at: datetime | None = None
    disconnect_reason: str | None = None
    is_muted: bool = False
    direction: str | None = None
    answered_at: datetime | None = None
    metadata: dict[str, Any] = {}


class Message(_Event, frozen=True, tag="message"):
    """One turn. Delays are in milliseconds; tokens are those of its language model requests.

    `metadata["final"]` is false while a turn is not yet committed. The delays are the steps between
    the end of the caller's speech and the agent's first sound, in order. An implausible delay is
    omitted and kept in `metadata["implausible"]`.

    Attributes:
        content: What was said; for an interrupted reply, the part that was heard.
        generated_content: The model's whole text, if it differs.
    """

    id: UUID
    role: Role
    content: str
    at: datetime
    speech_started_at: datetime | None = None
    speech_ended_at: datetime | None = None
    interrupted: bool = False
    participant_identity: str | None = None
    speech_id: str | None = None
    model: str | None = None
    tokens: int = 0
    generated_content: str | None = None
    audio_duration_ms: int | None = None
    transcription_delay_ms: int | None = None
    end_of_turn_delay_ms: int | None = None
    turn_completed_delay_ms: int | None = None
    llm_ttft_ms: int | None = None
    first_sentence_ms: int | None = None
    tts_ttfb_ms: int | None = None
    playout_delay_ms: int | None = None
    e2e_latency_ms: int | None = None
    metadata: dict[str, Any] = {}


class Usage(_Event, frozen=True, tag="usage"):
    """One request to a model. Without `message_id` it belongs only to the call.

    Tokens are counted as in OpenTelemetry's GenAI conventions: the input includes cached,
    cache-creation and audio tokens, the output includes reasoning and audio tokens.

    Attributes:
        error: Class of the error that ended the request.
        estimated: The provider reported no figures; these are estimates.
    """

    id: UUID
    kind: UsageKind
    at: datetime
    message_id: UUID | None = None
    speech_id: str | None = None
    provider: str | None = None
    model: str | None = None
    request_id: str | None = None
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_creation_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    output_tokens: int = 0
    output_audio_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0
    audio_ms: int | None = None
    characters: int | None = None
    duration_ms: int | None = None
    ttft_ms: int | None = None
    cancelled: bool = False
    error: str | None = None
    estimated: bool = False
    metadata: dict[str, Any] = {}


class Unhandled(_Event, frozen=True, tag="unhandled"):
    """A LiveKit event that the recorder could not handle, kept unchanged."""

    at: datetime
    source: str
    error: str
    raw: str


Event = CallStarted | CallConnected | CallEnded | Leg | Message | Usage | Unhandled

# A value in metadata that has no JSON type must not lose the event.
_encoder = msgspec.json.Encoder(enc_hook=repr)
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


LATENCIES: Final = (
    "transcription_delay_ms",
    "end_of_turn_delay_ms",
    "turn_completed_delay_ms",
    "llm_ttft_ms",
    "first_sentence_ms",
    "tts_ttfb_ms",
    "playout_delay_ms",
    "e2e_latency_ms",
)
"""A turn's latencies, by the fields of `Message` and the columns of the table."""


def encode(event: Event) -> bytes:
    r"""Return the event as one line of JSON, with only text that Postgres can store.

    NUL and lone surrogates become U+FFFD, and strings over STRING_LIMIT are cut and marked, so that
    no row is lost. The common case costs one encoding and one search.
    """
    try:
        data = _encoder.encode(event)
    except UnicodeEncodeError:
        return _encoder.encode(_clean(msgspec.to_builtins(event, enc_hook=repr)))
    if len(data) > _EVENT_LIMIT or b"\\u0000" in data:
        return _encoder.encode(_clean(msgspec.to_builtins(event, enc_hook=repr)))
    return data


def decode(data: bytes) -> Event:
    """Return the event of a line.

    Raises:
        msgspec.DecodeError: The line is not an event that this version knows.
    """
    try:
        return _decoder.decode(data)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        text = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        text = text.replace("\0", _MARK)
        if len(text) > STRING_LIMIT:
            # The limit includes the mark, because the event is encoded again for Postgres.
            mark = f"{_MARK} [cut: {len(text)} characters]"
            text = text[: STRING_LIMIT - len(mark)] + mark
        return text
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def log_fields(header: CallStarted) -> dict[str, str]:
    """Return job, room and call id, by which a reader finds the call of a log line."""
    return {
        "job_id": header.job_id,
        "room": header.room_name,
        "call_id": str(header.row_id),
    }
