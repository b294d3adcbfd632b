"""Ships an outbox directory that was rescued from another host, and by default changes nothing."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from callrecord.errors import Hold, Stop, Transient, VoiceError
from callrecord.events import CallStarted, Leg, Message, Usage, decode
from callrecord.outbox import locks
from callrecord.outbox.directory import ACCEPTED, LOCK
from callrecord.outbox.job_notes import crashed_end
from callrecord.outbox.reader import Damage, Entry, Tail
from callrecord.outbox.refused_files import files_under
from callrecord.outbox.writer import SUFFIX, job_of, made_at
from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Store
from callrecord.shipping.call_file import Shipment
from callrecord.shipping.delivery import Delivery, Stats

WRITER_LIVES = "its writer is alive"
WORKER_LIVES = "a worker holds this directory"


@dataclass
class Replayed:
    """The result for one file.

    Attributes:
        path: An outbox file, or the note of a job that died before its first event.
        call_id: Id of the call's row.
        state: The row's status and end reason afterwards.
        stored: Rows that were inserted or updated.
        there: Rows that the database already had.
        refused: Events that were kept aside.
        deleted: Whether the call's owner has deleted it; then nothing is stored.
        left: Why the file is not fully shipped; empty if it is.
    """

    path: Path
    call_id: UUID | None = None
    state: str = ""
    stored: int = 0
    there: int = 0
    refused: int = 0
    deleted: bool = False
    left: str = ""


@dataclass
class Rescued:
    """The files to ship: of an outbox directory, of one worker's subdirectory, or a single file.

    Attributes:
        files: Outbox files.
        notes: Notes of accepted jobs that have no file.
        refused: Files of events that Postgres rejected; `refused retry` handles these.
    """

    files: list[Path] = field(default_factory=list)
    notes: list[Path] = field(default_factory=list)
    refused: list[Path] = field(default_factory=list)


def find(place: Path) -> Rescued:
    """Return the files to ship.

    Raises:
        Stop: There is no such directory or file.
    """
    if place.is_file():
        return Rescued([place])
    if not place.is_dir():
        raise Stop(f"{place}: there is no such directory or file")
    files = _regular(place, SUFFIX)
    jobs = {job_of(path) for path in files}
    notes = [
        path for path in _regular(place, ACCEPTED) if path.name.removesuffix(ACCEPTED) not in jobs
    ]
    return Rescued(files, notes, files_under(place))


async def replay(rescued: Rescued, dsn: str, *, remove: bool) -> AsyncIterator[Replayed]:
    """Ship the files one by one; safe to repeat.

    Args:
        rescued: The files from `find`.
        dsn: The database's URL.
        remove: Remove each file once all of its events are in Postgres or kept aside there.

    Raises:
        Transient: The database is away.
    """
    stats = Stats()
    delivery, store = Delivery(dsn, stats, refused_files=False), Store(dsn)
    try:
        for path in rescued.files:
            yield await _of_file(path, delivery, store, stats, remove=remove)
        for path in rescued.notes:
            yield await _of_note(path, store, remove=remove)
    finally:
        await delivery.close()
        await store.close()


async def _of_file(
    path: Path, delivery: Delivery, store: Store, stats: Stats, *, remove: bool
) -> Replayed:
    result = Replayed(path)
    try:
        UUID(path.stem.rpartition(".")[2])
        with _held(path.parent) as free:
            if not free:
                result.left = WORKER_LIVES
                return result
            tail = Tail(path)
            try:
                await _ship(Shipment(tail, read_to=made_at(path)), delivery, store, result, stats)
            finally:
                tail.close(remove=remove and not result.left and result.state != "")
    except ValueError:
        result.left = "not an outbox file"
    except Hold as error:
        result.left = str(error)
    except OSError as error:
        result.left = f"can't be read: {error}"
    return result


async def _ship(
    shipment: Shipment, delivery: Delivery, store: Store, result: Replayed, stats: Stats
) -> None:
    if not shipment.tail.try_finish():
        result.left = WRITER_LIVES
        return
    refused = stats.refused
    while not shipment.closing:
        shipment.read()
        revisions = _newest_revisions(shipment.pending)
        there = await _already_there(store, revisions)
        await delivery.deliver([shipment])
        if shipment.strikes:
            result.left = shipment.why
            return
        result.there += there
        result.stored += await _already_there(store, revisions) - there
    result.refused = stats.refused - refused
    result.call_id, result.deleted = shipment.call_id, shipment.deleted
    result.state = await _state(store, shipment.call_id)


async def _of_note(path: Path, store: Store, *, remove: bool) -> Replayed:
    result = Replayed(path)
    call = _read_note(path)
    if isinstance(call, str):
        result.left = call
        return result
    try:
        applied = await store.apply([call])
    except Transient:
        raise
    except VoiceError as error:
        result.left = error.sqlstate or str(error)
        return result
    result.call_id = applied.call_ids.get(call.header.key)
    result.deleted = result.call_id is None
    result.state = await _state(store, result.call_id)
    if remove:
        await asyncio.to_thread(path.unlink, missing_ok=True)
    return result


def _read_note(path: Path) -> CallBatch | str:
    try:
        header = decode(path.read_bytes())
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, msgspec.DecodeError) as error:
        return f"can't be read: {error}"
    if not isinstance(header, CallStarted):
        return "not the note of a job"
    return CallBatch(header, [Entry(crashed_end(at), 3, -1, b"")])


def _newest_revisions(pending: list[Entry | Damage]) -> dict[UUID, int]:
    """Return the newest revision of each row, by the row's id."""
    return {
        item.event.id: item.sequence
        for item in pending
        if isinstance(item, Entry) and isinstance(item.event, Message | Leg | Usage)
    }


async def _already_there(store: Store, revisions: dict[UUID, int]) -> int:
    """Return how many of the rows the database has, in that revision or a newer one."""
    if not revisions:
        return 0
    (row,) = await store.rows("already_there", list(revisions), list(revisions.values()))
    return int(row[0])


async def _state(store: Store, call_id: UUID | None) -> str:
    for row in await store.rows("call_state", call_id):
        return " ".join(filter(None, row))
    return "no call"


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[bool]:
    """Hold the lock on a worker's directory; yield False if another process holds it."""
    try:
        fd = os.open(directory / LOCK, os.O_RDONLY)
    except FileNotFoundError:  # not a worker's directory: nothing to lock
        yield True
        return
    try:
        yield locks.try_lock(fd)
    finally:
        locks.close(fd)


def _regular(place: Path, suffix: str) -> list[Path]:
    found = [*place.glob(f"*{suffix}"), *place.glob(f"*/*{suffix}")]
    return sorted(path for path in found if path.is_file() and not path.is_symlink())
