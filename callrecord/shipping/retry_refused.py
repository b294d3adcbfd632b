"""Lists and retries refused events, from the table and from files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from callrecord.errors import Hold, Locked, Refused
from callrecord.events import CallStarted, Message, Unhandled, decode, now
from callrecord.outbox.reader import entry_of
from callrecord.outbox.refused_files import RefusedEvent, files_under, read_file, replace_file
from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Store

_DAMAGED = "damaged: this version can't read an event from it"

Outcome = Literal["stored", "deleted", "stays"]
"""Stored now; dropped, because its owner deleted the call; still kept aside."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A refused event in a list, without its bytes.

    Attributes:
        event: The event, with an empty `raw`.
        size: Bytes of its line.
        path: Its file; None if it is in the table.
    """

    event: RefusedEvent
    size: int
    path: Path | None = None


async def list_refused(store: Store, outbox: Path | None) -> list[Kept]:
    """Return all refused events, oldest first, from the table and from an outbox's files.

    Raises:
        VoiceError: The database is away, or lacks the table.
    """
    rows = [dict(row) for row in await store.rows("refused_list")]
    found = [Kept(size=row.pop("bytes"), event=RefusedEvent(raw=b"", **row)) for row in rows]
    found += _in_files(outbox) if outbox is not None else ()
    return sorted(found, key=lambda kept: kept.event.refused_at)


async def retry(store: Store, kept: Kept) -> tuple[Outcome, str]:
    """Retry one event; remove it if it is stored, or if its owner deleted the call.

    Returns:
        The outcome, and the reason if it stays.

    Raises:
        Transient: The database is away; nothing was changed.
        OSError: Its file can't be read or changed.
    """
    event = await _whole(store, kept)
    if event is None:
        return "stored", "another process handled it"
    entry = entry_of(event.raw, event.byte_offset)
    header = event.header or await _header_from_row(store, event)
    if entry is None or header is None:
        return "stays", _DAMAGED if entry is None else "its call's row no longer exists"
    if isinstance(entry.event, Unhandled):
        return "stays", "kept as LiveKit sent it: this version has no row for it"
    try:
        applied = await store.apply([CallBatch(header, [entry])])
    except Refused as error:
        await _renew(store, kept, event, error)
        return "stays", f"refused again: {error}"
    except (Hold, Locked) as error:
        return "stays", str(error)
    if applied.call_ids.get(header.key) is not None and isinstance(entry.event, Message):
        await store.rows("link_usage", entry.event.id)
    await _forget(store, kept)
    return ("deleted" if applied.call_ids.get(header.key) is None else "stored"), ""


def _in_files(outbox: Path) -> Iterator[Kept]:
    for path in files_under(outbox):
        event = read_file(path)
        yield Kept(msgspec.structs.replace(event, raw=b""), len(event.raw), path)


async def _whole(store: Store, kept: Kept) -> RefusedEvent | None:
    if kept.path is not None:
        return read_file(kept.path) if kept.path.exists() else None
    found = await store.rows("refused_event", kept.event.source, kept.event.byte_offset)
    if not found:
        return None
    row = dict(found[0])
    header = row.pop("header")
    started = decode(header.encode()) if header else None
    return RefusedEvent(header=started if isinstance(started, CallStarted) else None, **row)


async def _header_from_row(store: Store, event: RefusedEvent) -> CallStarted | None:
    # Rows from before migration 081 have no header; the call's row has what a header needs.
    for row in await store.rows("refused_call", event.call_id):
        key: UUID | None = event.call_key or event.call_id
        if key is not None:
            return CallStarted(
                key=key,
                job_id=row["job_id"],
                room_name=row["session_id"],
                room_sid=row["room_sid"],
                at=row["at"],
            )
    return None


async def _renew(store: Store, kept: Kept, event: RefusedEvent, error: Refused) -> None:
    if kept.path is None:
        place = event.source, event.byte_offset
        await store.rows("refused_renew", *place, str(error), error.sqlstate, now())
        return
    changes = {"error": str(error), "sqlstate": error.sqlstate, "refused_at": now()}
    replace_file(kept.path, msgspec.structs.replace(event, **changes))


async def _forget(store: Store, kept: Kept) -> None:
    if kept.path is None:
        await store.rows("refused_forget", kept.event.source, kept.event.byte_offset)
    else:
        kept.path.unlink(missing_ok=True)
