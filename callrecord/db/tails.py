"""All outbox files that a worker ships: which there are, whose turn it is, which are done."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import msgspec

from callrecord.db.events import CallEnded, CallStarted, now
from callrecord.db.outbox import job_of, made_at
from callrecord.db.outbox_home import ACCEPTED, WorkerDirectory
from callrecord.db.privacy import private_logger
from callrecord.db.tail import Damage, Entry, Tail

logger = private_logger("voice.shipper")

BATCH_EVENTS = 1000
"""Events in a batch, about; bounds the time that one statement takes."""

RETRY_S = 10.0
"""Pause before a file that the disk did not give is tried again."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits on disk.

    Attributes:
        seconds: Age of the oldest of it.
    """

    events: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Shipment:
    """One file under way: its tail, and what was read but is not stored yet.

    Attributes:
        held_until: Monotonic time before which it is not tried again.
        closing: Its writer is gone, and it was read to its end.
        deleted: The call's owner has deleted it.
        read_to: Until when all that was written is read, in seconds since 1970.
        stored_to: The same of what was taken off `pending` since.
    """

    tail: Tail
    read_to: float
    pending: list[Entry | Damage] = field(default_factory=list)
    held_until: float = 0.0
    closing: bool = False
    deleted: bool = False
    stored_to: float = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is stored of a file that was just found."""
        self.stored_to = self.read_to

    def backlog(self) -> Backlog:
        """Return what of it is not stored yet."""
        unread = self.tail.unread()
        if not self.pending and not unread:
            return Backlog()
        held = sum(len(item.raw) for item in self.pending)
        try:
            ahead = max(0, self.tail.written() - self.tail.next_sequence + 1) if unread else 0
        except OSError:  # who reads it logs that it can't be read
            ahead = 0
        since = self.stored_to if self.pending else self.read_to
        return Backlog(
            events=len(self.pending) + ahead,
            bytes=held + unread,
            seconds=max(0.0, time.time() - since),
        )

    @property
    def header(self) -> CallStarted:
        """The call's identity; from the file's name if both header lines are damaged."""
        if self.tail.header is not None:
            return self.tail.header
        job_id = job_of(self.tail.path)
        key = UUID(self.tail.path.stem.rpartition(".")[2])
        return CallStarted(
            key=key,
            job_id=job_id,
            room_name=f"unknown {job_id}",
            room_sid=f"unknown:{key}",
            at=self.tail.written_at(),
            metadata={"recovered": True},
        )


class Tails:
    """The files of one worker's directories; used from the shipper's thread only."""

    def __init__(self, directories: list[WorkerDirectory]) -> None:
        self._own = directories
        self._adopted: list[WorkerDirectory] = []
        self._shipments: dict[Path, Shipment] = {}
        self._strange: dict[Path, float] = {}
        self._turn = 0

    def __len__(self) -> int:
        """Return how many files are not shipped to their end."""
        return len(self._shipments)

    @property
    def adopted(self) -> list[WorkerDirectory]:
        """Directories of dead workers that are not shipped to their end."""
        return list(self._adopted)

    def adopt(self, directory: WorkerDirectory) -> None:
        """Ship the files of a dead worker's directory too."""
        self._adopted.append(directory)

    def backlog(self) -> Backlog:
        """Return what of all files is not stored yet."""
        each = [shipment.backlog() for shipment in self._shipments.values()]
        return Backlog(
            events=sum(one.events for one in each),
            bytes=sum(one.bytes for one in each),
            seconds=max((one.seconds for one in each), default=0.0),
        )

    def scan(self) -> None:
        """Open files that are new, and let go of adopted directories that are empty."""
        at = time.monotonic()
        for directory in [*self._own, *self._adopted]:
            for path in _files(directory):
                if path not in self._shipments and self._strange.get(path, at) <= at:
                    self._open(directory, path)
        for directory in list(self._adopted):
            if not _files(directory) and not _notes(directory):
                self._adopted.remove(directory)
                directory.release(remove_if_empty=True)

    def gather(self) -> list[Shipment]:
        """Return files with something to store, each call in its turn, living ones first."""
        at = time.monotonic()
        ready = [each for each in self._shipments.values() if each.held_until <= at]
        self._turn += 1
        if ready:
            start = self._turn % len(ready)
            ready = ready[start:] + ready[:start]
        ready.sort(key=lambda each: not each.tail.seen_alive)
        found: list[Shipment] = []
        events = 0
        for each in ready:
            if not each.pending:
                try:
                    self._read(each)
                except OSError:  # one file's bad sector must not keep all the others
                    each.held_until = at + RETRY_S
                    logger.exception(
                        "outbox file not readable, will try again",
                        extra={"file": each.tail.path.name},
                    )
            if each.pending:
                found.append(each)
                events += len(each.pending)
            if events >= BATCH_EVENTS:
                break
        return found

    def finish(self) -> None:
        """Unlink files that are stored to their end and whose writer is gone."""
        at = time.monotonic()
        for path, each in list(self._shipments.items()):
            if each.closing and not each.pending and each.held_until <= at:
                try:
                    if not each.tail.grown():
                        each.tail.close(remove=True)
                        del self._shipments[path]
                except OSError:  # a disk turned read-only: the file is shipped again one day
                    each.held_until = at + RETRY_S
                    logger.exception("outbox file not removed", extra={"file": path.name})

    def sync(self) -> None:
        """Bring what is not shipped yet to the disk."""
        for each in self._shipments.values():
            if each.pending or each.tail.grown():
                each.tail.sync()

    def close(self) -> None:
        """Close all files and give the adopted directories back."""
        for each in self._shipments.values():
            each.tail.close(remove=False)
        self._shipments.clear()
        for directory in self._adopted:
            directory.release()
        self._adopted.clear()

    def _open(self, directory: WorkerDirectory, path: Path) -> None:
        try:
            UUID(path.stem.rpartition(".")[2])
            path.name.encode()  # the name goes into the database, as text
        except ValueError:
            self._strange[path] = math.inf
            logger.warning("not an outbox file, left alone", extra={"file": ascii(path.name)})
            return
        try:
            self._shipments[path] = Shipment(read_to=made_at(path), tail=Tail(path))
        except FileNotFoundError:  # shipped and unlinked by its adopter since we listed it
            return
        except OSError:  # another user's, or no descriptors left
            self._strange[path] = time.monotonic() + RETRY_S
            logger.exception(
                "outbox file can't be opened, will try again", extra={"file": path.name}
            )
            return
        (directory.path / f"{job_of(path)}{ACCEPTED}").unlink(missing_ok=True)

    def _read(self, each: Shipment) -> None:
        each.stored_to = each.read_to  # what was pending is stored, or we would not read on
        at = time.time()
        each.pending.extend(each.tail.read())
        if not each.tail.unread():
            each.read_to = at
        if each.pending or each.closing or not each.tail.try_finish():
            return
        # The writer is gone and we hold its lock: now the end of the file is its end.
        while each.tail.grown():
            each.pending.extend(each.tail.read())
        each.pending.extend(each.tail.rest())
        # With both header lines damaged it is still a call, which ended somehow.
        if each.tail.next_sequence > 1 and not each.tail.ended:
            each.pending.extend(_crashed(each.tail))
        each.closing = True


def _files(directory: WorkerDirectory) -> list[Path]:
    try:
        return directory.files()
    except FileNotFoundError:  # removed with all that was in it: nothing is left to ship
        return []


def _notes(directory: WorkerDirectory) -> list[Path]:
    try:
        return directory.accepted()
    except FileNotFoundError:
        return []


def _crashed(tail: Tail) -> Iterator[Entry]:
    """Yield how a call ended whose writer is dead: turns that were being spoken were cut."""
    sequence = tail.next_sequence
    for draft in tail.drafts.values():
        cut = msgspec.structs.replace(draft.event, interrupted=True)
        yield Entry(cut, sequence, draft.offset, draft.raw)
        sequence += 1
    # A death that we saw is dated now, an older one by the last thing its writer said.
    at = now() if tail.seen_alive else tail.written_at()
    yield Entry(CallEnded(at=at, end_reason="worker_crashed"), sequence, -1, b"")
