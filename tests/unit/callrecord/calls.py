"""Events, files and logins of the tests of outbox, shipper and store."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import asyncpg

from callrecord.events import (
    CallConnected,
    CallEnded,
    CallStarted,
    Event,
    Leg,
    Message,
    Usage,
    new_id,
)
from callrecord.outbox.reader import Damage, Entry, Tail
from callrecord.outbox.writer import OutboxWriter
from callrecord.postgres.batch import CallBatch

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return a time this many seconds after noon of the day all test calls are on."""
    return NOON + timedelta(seconds=seconds)


def started(**changes: Any) -> CallStarted:
    """Return a header with a key, a job and a room of its own."""
    key = new_id()
    fields: dict[str, Any] = {
        "key": key,
        "job_id": f"AJ_{key.hex[-12:]}",
        "room_name": f"room-{key.hex[-12:]}",
        "room_sid": f"RM_{key.hex[-12:]}",
        "at": at(0),
        "room_created_at": at(-1),
    }
    return CallStarted(**fields | changes)


def message(text: str = "words", **changes: Any) -> Message:
    """Return a user's turn."""
    fields: dict[str, Any] = {"id": new_id(), "role": "user", "content": text, "at": at(5)}
    return Message(**fields | changes)


def leg(identity: str = "caller", **changes: Any) -> Leg:
    """Return an open leg."""
    fields: dict[str, Any] = {"id": new_id(), "identity": identity, "joined_at": at(1)}
    return Leg(**fields | changes)


def usage(tokens: int = 10, **changes: Any) -> Usage:
    """Return a request to a language model."""
    fields: dict[str, Any] = {"id": new_id(), "kind": "llm", "at": at(6), "total_tokens": tokens}
    return Usage(**fields | changes)


def connected(seconds: float = 2) -> CallConnected:
    """Return the event of caller and agent both being there."""
    return CallConnected(at=at(seconds))


def ended(reason: str = "caller_hangup", seconds: float = 60, **detail: Any) -> CallEnded:
    """Return the end of a call."""
    return CallEnded(at=at(seconds), end_reason=reason, detail=detail)


def batch(header: CallStarted, *events: Event, first: int = 3) -> CallBatch:
    """Return events as a batch, as if they stood in the file from sequence `first` on."""
    entries = [Entry(event, first + n, 100 * (first + n), b"") for n, event in enumerate(events)]
    return CallBatch(header, entries)


def write(directory: Path, header: CallStarted, *events: Event) -> Path:
    """Write a whole outbox file, as a job does that ends well, and return its path."""
    writer = OutboxWriter(directory, header)
    for event in events:
        writer.append(event)
    writer.close()
    return writer.path


def read_all(path: Path) -> list[Entry | Damage]:
    """Return all that is in a file whose writer is gone."""
    tail = Tail(path)
    try:
        assert tail.try_finish()
        found: list[Entry | Damage] = []
        while tail.grown():
            found += tail.read()
        return found + tail.rest()
    finally:
        tail.close(remove=False)


def events_of(found: list[Entry | Damage]) -> list[Event]:
    """Return the events that were read, without the two headers."""
    read = [item.event for item in found if isinstance(item, Entry)]
    return [event for event in read if not isinstance(event, CallStarted)]


def damage_of(found: list[Entry | Damage]) -> list[Damage]:
    """Return what was read and is no event."""
    return [item for item in found if isinstance(item, Damage)]


@asynccontextmanager
async def enlisted(database_url: str) -> AsyncIterator[str]:
    """Make a login with the worker's rights and no others.

    Yields:
        The URL with which it connects.
    """
    name, password = f"login_{new_id().hex}", secrets.token_urlsafe(12)
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute(f"create role {name} login inherit password '{password}'")
        await owner.execute(f"select voice_worker.enlist('{name}')")
        parts = urlsplit(database_url)
        yield parts._replace(
            netloc=f"{name}:{quote(password)}@{parts.hostname}:{parts.port}"
        ).geturl()
    finally:
        await owner.execute(f"drop role {name}")
        await owner.close()


def key_of(path: Path) -> UUID:
    """Return the key in an outbox file's name."""
    return UUID(path.stem.rpartition(".")[2])
