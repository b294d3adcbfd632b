"""The timeline of a call: who spoke when, the waits for answers, function calls, interruptions.

Times are seconds since the call was connected.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from callrecord.reading import CallRecord, Leg, Message

Kind = Literal["caller", "agent", "tool"]
TOOLS = "tools"
STAGES = ("transcript", "decision", "callback", "first token", "sentence", "speech", "playout")
"""The stages of the wait for an answer, in order."""
HEARING = STAGES[:3]


@dataclass(frozen=True, slots=True)
class Span:
    """A turn or a function call, on one lane.

    Attributes:
        lane: Index in the timeline's lanes.
        kind: Who spoke, or `tool` for a function call.
        text: What was said, or the name of the function.
        interrupted: It was cut off.
        typed: It was written, not spoken.
    """

    lane: int
    start: float
    end: float
    kind: Kind
    text: str
    interrupted: bool = False
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a wait.

    Attributes:
        name: One of STAGES.
        start: Where it is drawn, limited to the wait. If the answer was started before the turn's
            end was decided, its first stages really overlap those of hearing.
        end: Where the next known stage starts.
        seconds: Its real duration.
    """

    name: str
    start: float
    end: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """The time from a caller's last word to the agent's first sound, and its stages.

    Attributes:
        stages: The known stages, in order.
    """

    lane: int
    start: float
    end: float
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """An event at one moment: a participant joins or leaves, another agent takes over."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """A whole call; spans, waits and marks are sorted by time."""

    lanes: tuple[str, ...]
    spans: tuple[Span, ...]
    waits: tuple[Wait, ...]
    marks: tuple[Mark, ...]
    seconds: float


def timeline_of(record: CallRecord) -> Timeline:
    """Return the timeline of a call; for a running call, up to its newest row."""
    zero = _zero(record)
    lanes = _lanes(record)
    places = {identity: place for place, (identity, _) in enumerate(lanes)}
    spans, waits = [], []
    heard: Message | None = None
    for message in record.messages:
        span = _span(message, places, zero)
        if span is None:
            continue
        spans.append(span)
        if message.role == "assistant" and message.e2e_latency_ms is not None:
            waits.append(_wait(message, heard, span))
        heard = message if message.role == "user" else heard
    marks = tuple(sorted(_marks(record, zero), key=lambda mark: mark.at))
    ends = [span.end for span in spans] + [mark.at for mark in marks]
    return Timeline(
        lanes=tuple(name for _, name in lanes),
        spans=tuple(sorted(spans, key=lambda span: (span.start, span.lane))),
        waits=tuple(waits),
        marks=marks,
        seconds=max(ends, default=0.0),
    )


def _zero(record: CallRecord) -> datetime:
    call = record.call
    connected = call.connected_at or call.started_at or call.created_at
    times = [_start(each) for each in record.messages] + [leg.joined_at for leg in record.legs]
    # No time may be negative, even if a leg is older than the call or a clock stepped back.
    return min([connected, *times])


def _lanes(record: CallRecord) -> list[tuple[str, str]]:
    """Return identity and name of each lane: callers, then agents, then functions."""
    names = {leg.participant_identity: _name(leg) for leg in record.legs}
    callers: dict[str, str] = {}
    agents: dict[str, str] = {}
    for message in record.messages:
        identity = message.participant_identity or ""
        if message.role == "user":
            callers[identity] = names.get(identity, "caller")
        elif message.role == "assistant":
            agents[identity] = names.get(identity, "agent")
    lanes = [*callers.items(), *(each for each in agents.items() if each[0] not in callers)]
    if any(_is_tool(each) for each in record.messages):
        lanes.append((TOOLS, TOOLS))
    return lanes


def _span(message: Message, places: dict[str, int], zero: datetime) -> Span | None:
    start = (_start(message) - zero).total_seconds()
    if _is_tool(message):
        took = (message.metadata or {}).get("duration_ms")
        took_s = took / 1000 if isinstance(took, int | float) else 0.0
        name = str((message.metadata or {}).get("name", "tool"))
        return Span(places[TOOLS], start, start + max(0.0, took_s), "tool", name)
    if message.role == "system":
        return None
    return Span(
        lane=places[message.participant_identity or ""],
        start=start,
        end=start + _length_s(message),
        kind="caller" if message.role == "user" else "agent",
        text=message.content,
        interrupted=message.interrupted,
        typed=message.role == "user" and message.model_used is None and not _length_s(message),
    )


def _wait(answer: Message, heard: Message | None, span: Span) -> Wait:
    start = max(0.0, span.start - (answer.e2e_latency_ms or 0) / 1000)
    known = [
        (name, took_ms / 1000)
        for name, took_ms in zip(STAGES, _steps(answer, heard), strict=True)
        if took_ms is not None and took_ms > 0
    ]
    return Wait(span.lane, start, span.start, tuple(_placed(known, start, span.start)))


def _placed(known: list[tuple[str, float]], start: float, end: float) -> list[Stage]:
    """Place the stages of hearing from the start forwards, of answering from the end backwards."""
    hearing, answering = [], []
    for name, seconds in known:
        if name in HEARING:
            hearing.append(Stage(name, start, min(end, start + seconds), seconds))
            start = hearing[-1].end
    for name, seconds in reversed(known):
        if name not in HEARING:
            answering.append(Stage(name, max(start, end - seconds), end, seconds))
            end = answering[-1].start
    return hearing + answering[::-1]


def _steps(answer: Message, heard: Message | None) -> tuple[float | None, ...]:
    """Return the milliseconds of each stage; some columns count from the same start."""
    transcript = heard.transcription_delay_ms if heard else None
    decided = heard.end_of_turn_delay_ms if heard else None
    token, sentence = answer.llm_ttft_ms, answer.first_sentence_ms
    return (
        transcript,
        None if decided is None else decided - (transcript or 0),
        heard.turn_completed_delay_ms if heard else None,
        token,
        None if sentence is None else sentence - (token or 0),
        answer.tts_ttfb_ms,
        answer.playout_delay_ms,
    )


def _marks(record: CallRecord, zero: datetime) -> Iterable[Mark]:
    for leg in record.legs:
        yield Mark((leg.joined_at - zero).total_seconds(), f"{_name(leg)} joins")
        if leg.left_at is not None:
            yield Mark((leg.left_at - zero).total_seconds(), f"{_name(leg)} leaves")
    for message in record.messages:
        if (message.metadata or {}).get("kind") == "agent_handoff":
            yield Mark((message.timestamp - zero).total_seconds(), f"handoff {message.content}")
    if record.call.ended_at is not None:
        at = max(0.0, (record.call.ended_at - zero).total_seconds())
        yield Mark(at, record.call.end_reason or record.call.status)


def _start(message: Message) -> datetime:
    return message.speech_started_at or message.timestamp


def _length_s(message: Message) -> float:
    if message.speech_started_at and message.speech_ended_at:
        return max(
            0.0, (message.speech_ended_at - message.speech_started_at) / timedelta(seconds=1)
        )
    return max(0, message.audio_duration_ms or 0) / 1000


def _is_tool(message: Message) -> bool:
    return message.role == "system" and (message.metadata or {}).get("kind") == "tool_call"


def _name(leg: Leg) -> str:
    return leg.participant_name or leg.participant_identity
