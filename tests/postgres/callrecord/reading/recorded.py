"""A call as the worker records it."""

from uuid import UUID

from callrecord.events import Event, Message, Usage
from callrecord.postgres.store import Store
from tests.postgres.applied import apply
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started, usage

HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eeno\r\n"
"""What a terminal would obey: it sets its title, clears the screen, turns letters round."""


def turns() -> list[Message]:
    """Return a conversation with a function call, in its order."""
    return [
        message("What is the capital of France?", at=at(5)),
        message("look_up({}) -> Paris", role="system", at=at(6), metadata={"kind": "tool_call"}),
        message(
            f"The capital {HOSTILE} is Paris, 巴黎. " * 3,
            role="assistant",
            at=at(7),
            interrupted=True,
            tokens=90,
            e2e_latency_ms=1550,
        ),
    ]


def requests(answer: UUID) -> list[Usage]:
    """Return two requests to one model and one to another."""
    chat = {"message_id": answer, "model": "chat", "input_tokens": 30, "output_tokens": 15}
    return [
        usage(45, **chat),
        usage(45, **chat, cached_input_tokens=8, cancelled=True, at=at(7)),
        usage(0, kind="tts", model="voice", characters=40, audio_ms=2500, at=at(8)),
    ]


async def record_call(dsn: str, room: str = "room-1", sid: str = "RM_1") -> UUID:
    """Store the call with the worker's login, and return its id."""
    said = turns()
    events: list[Event] = [
        connected(),
        leg(name=f"Ada {HOSTILE}"),
        leg("agent", participant_type="agent", kind="agent", joined_at=at(0)),
        *said,
        *requests(said[-1].id),
        ended(error=HOSTILE),
    ]
    store = Store(dsn)
    try:
        call_id = await apply(store, batch(started(room_name=room, room_sid=sid), *events))
    finally:
        await store.close()
    assert call_id is not None
    return call_id
