"""A batch: events of one or more calls, reduced to the newest version of each row.

Its JSON is the argument of the database function `voice_worker.apply_batch`.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from callrecord.events import (
    CallConnected,
    CallEnded,
    CallStarted,
    Leg,
    Message,
    Unhandled,
    Usage,
    encode,
    status_of,
)
from callrecord.outbox.reader import Entry

NAME_LIMIT = 255
"""Width of session_id and room_name in the schema, in characters."""


@dataclass(slots=True)
class CallBatch:
    """One call's part of a batch: its header and the entries to apply, in file order."""

    header: CallStarted
    entries: list[Entry] = field(default_factory=list)

    def halves(self) -> tuple["CallBatch", "CallBatch"]:
        """Split the entries in two, to find the one that fails."""
        middle = len(self.entries) // 2
        return (
            CallBatch(self.header, self.entries[:middle]),
            CallBatch(self.header, self.entries[middle:]),
        )


def to_json(calls: list[CallBatch]) -> str:
    """Return the batch as JSON text.

    Every worker sorts the calls in the same order; otherwise two batches that insert the same rows
    could deadlock. The jobs of one room are in the order of their start.
    """
    rows: dict[str, list[bytes]] = {"calls": [], "legs": [], "messages": [], "usage": []}
    for call in sorted(calls, key=lambda part: (part.header.room_sid, part.header.key)):
        _fold(call, rows)
    parts = (b'"%s":[%s]' % (kind.encode(), b",".join(found)) for kind, found in rows.items())
    return (b"{%s}" % b",".join(parts)).decode()


def _fold(call: CallBatch, rows: dict[str, list[bytes]]) -> None:
    row = _call_row(call.header)
    newest: dict[str, dict[UUID, Entry]] = {"legs": {}, "messages": {}, "usage": {}}
    for entry in call.entries:
        event = entry.event
        match event:
            # A newer version keeps the row's place, so that numbers follow the order of the turns.
            case Message():
                newest["messages"][event.id] = entry
            case Usage():
                newest["usage"][event.id] = entry
            case Leg():
                newest["legs"][event.id] = entry
            case CallConnected():
                row.setdefault("connected_at", event.at)
            case CallEnded():
                row["ended_at"] = event.at
                row["end_reason"] = event.end_reason
                row["end_status"] = status_of(event.end_reason)
                row["end_detail"] = event.detail
                row["usage_complete"] = event.usage_complete
                row["usage_gaps"] = event.usage_gaps
            case CallStarted() | Unhandled():
                pass  # the header has the first; delivery keeps the second aside
    rows["calls"].append(msgspec.json.encode(row))
    key = str(call.header.key).encode()
    for kind, by_id in newest.items():
        found = rows[kind]
        found += [_row(key, entry, place) for place, entry in enumerate(by_id.values(), len(found))]


def _row(key: bytes, entry: Entry, place: int) -> bytes:
    # Prepend three keys to the event's JSON: building a dict would take twice as long.
    # The JSON omits defaults; the database fills them in.
    fields = encode(entry.event)[1:]
    return b'{"call":"%s","revision":%d,"place":%d,%s' % (key, entry.sequence, place, fields)


def _call_row(header: CallStarted) -> dict[str, Any]:
    row = {name: getattr(header, name) for name in header.__struct_fields__}
    row["call_id"] = _uuid_or_none(header.call_id)
    if header.call_id and row["call_id"] is None:
        row["metadata"] = {**header.metadata, "callId": header.call_id}
    # Without a room's sid each job becomes its own call; one row for all of them would be worse.
    row["room_sid"] = header.room_sid or f"unknown:{header.key}"
    row["session_id"] = fit_name(header.room_name)
    row["taken_session_id"] = fit_name(f"{header.room_name}@{row['room_sid']}")
    return row


def fit_name(name: str) -> str:
    """Return the name; one over NAME_LIMIT is cut and ends with a digest of the full name."""
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:16]
    return f"{name[: NAME_LIMIT - len(digest) - 1]}~{digest}"


def _uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
