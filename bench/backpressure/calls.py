"""A call's events as the recorder writes them in a spoken call, at the pace of people talking.

The mixture is that of a real call's outbox (bench.soak): an exchange of one spoken turn and one
answer is ten events, since turns are written twice and each request to a model once or twice.
"""

from datetime import datetime
from uuid import UUID

from bench.workload import SENTENCE
from callrecord.events import CallConnected, CallEnded, Event, Leg, Message, Usage, new_id, now

EXCHANGES_A_MINUTE = 6
EVENTS_IN_AN_EXCHANGE = 10
AGENT = "agent-AJ_0123456789ab"


def begin() -> list[Event]:
    """Return what a call begins with, after its header."""
    at = now()
    return [
        Leg(id=new_id(), identity=AGENT, joined_at=at, participant_type="agent", kind="agent"),
        Leg(id=new_id(), identity="caller-0d9f31", joined_at=at, sid="PA_0123456789ab"),
        CallConnected(at=at),
    ]


def exchange() -> list[Event]:
    """Return a turn of the caller, its answer, and the models' requests for both."""
    at = now()
    user, agent = new_id(), new_id()
    stt, llm, tts = new_id(), new_id(), new_id()
    return [
        _usage(stt, "stt", at),
        _message(user, "user", SENTENCE[:72], at, final=False),
        _message(user, "user", SENTENCE[:72], at, final=True),
        _usage(stt, "stt", at, user),
        _message(agent, "assistant", SENTENCE, at, final=False),
        _usage(llm, "llm", at),
        _usage(llm, "llm", at, agent),
        _usage(tts, "tts", at),
        _usage(tts, "tts", at, agent),
        _message(agent, "assistant", SENTENCE, at, final=True),
    ]


def end() -> Event:
    """Return the end of a call."""
    return CallEnded(at=now(), end_reason="caller_hangup")


def _message(id_: UUID, role: str, text: str, at: datetime, *, final: bool) -> Message:
    agent = role == "assistant"
    return Message(
        id=id_,
        role="assistant" if agent else "user",
        content=text,
        at=at,
        speech_started_at=at if final else None,
        speech_ended_at=at if final else None,
        participant_identity=AGENT if agent else "caller-0d9f31",
        speech_id="speech_3bf0844a5081" if agent else None,
        model="gpt-4.1-mini" if agent else "gpt-4o-mini-transcribe",
        tokens=180 if agent and final else 0,
        transcription_delay_ms=None if agent else 213,
        metadata={} if final else {"final": False},
    )


def _usage(id_: UUID, kind: str, at: datetime, message: UUID | None = None) -> Usage:
    return Usage(
        id=id_,
        kind="stt" if kind == "stt" else "llm" if kind == "llm" else "tts",
        at=at,
        message_id=message,
        provider="api.openai.com",
        model="gpt-4.1-mini",
        input_tokens=140,
        output_tokens=40,
        total_tokens=180,
        duration_ms=412,
    )
