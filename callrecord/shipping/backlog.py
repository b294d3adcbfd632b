"""All outbox files that a worker ships: finds them, schedules them, removes those that are done."""

import math
import time
from pathlib import Path
from uuid import UUID

from callrecord.outbox.directory import ACCEPTED, WorkerDirectory
from callrecord.outbox.reader import Tail
from callrecord.outbox.writer import job_of, made_at
from callrecord.privacy import private_logger
from callrecord.shipping.call_file import Backlog, Shipment

logger = private_logger("voice.shipper")

BATCH_EVENTS = 1000
"""Approximate number of events in a batch; bounds the duration of one statement."""

RETRY_S = 10.0
"""Pause before a file that could not be read is tried again."""


class OutboxFiles:
    """The files in one worker's directories; used from the shipper's thread only."""

    def __init__(self, directories: list[WorkerDirectory]) -> None:
        self._own = directories
        self._adopted: list[WorkerDirectory] = []
        self._shipments: dict[Path, Shipment] = {}
        self._skipped_until: dict[Path, float] = {}
        self._turn = 0

    def __len__(self) -> int:
        """Return how many files are not fully shipped."""
        return len(self._shipments)

    @property
    def adopted(self) -> list[WorkerDirectory]:
        """Directories of dead workers that are not fully shipped."""
        return list(self._adopted)

    def adopt(self, directory: WorkerDirectory) -> None:
        """Also ship the files in a dead worker's directory."""
        self._adopted.append(directory)

    def backlog(self) -> Backlog:
        """Return what is not stored yet, over all files."""
        each = [shipment.backlog() for shipment in self._shipments.values()]
        return Backlog(
            events=sum(one.events for one in each),
            bytes=sum(one.bytes for one in each),
            seconds=max((one.seconds for one in each), default=0.0),
        )

    def scan(self) -> None:
        """Open new files, and release adopted directories that are empty."""
        at = time.monotonic()
        for directory in [*self._own, *self._adopted]:
            for path in _files(directory):
                if path not in self._shipments and self._skipped_until.get(path, at) <= at:
                    self._open(directory, path)
        for directory in list(self._adopted):
            if not _files(directory) and not _notes(directory):
                self._adopted.remove(directory)
                directory.release(remove_if_empty=True)

    def gather(self) -> list[Shipment]:
        """Return the files of the next batch, in rotation, with running calls first.

        Events that could not be stored take precedence, then events that were read ahead. So the
        memory holds two batches at most, however long the database is away.
        """
        ready = self._ready()
        self._turn += 1
        if ready:
            start = self._turn % len(ready)
            ready = ready[start:] + ready[:start]
        ready.sort(key=lambda each: (not each.pending, each.ahead, each.tail.locked))
        found: list[Shipment] = []
        events = 0
        for each in ready:
            if not each.pending:
                _read(each)
            if each.pending:
                each.ahead = False
                found.append(each)
                events += len(each.pending)
            if events >= BATCH_EVENTS:
                break
        return found

    def read_ahead(self, gathered: list[Shipment]) -> None:
        """Read the next batch from other files while one is being stored, if there is a backlog."""
        if sum(len(each.pending) for each in gathered) < BATCH_EVENTS:
            return  # there is no backlog
        others = [each for each in self._ready() if each not in gathered]
        others.sort(key=lambda each: each.tail.locked)  # running calls first
        ahead = sum(len(each.pending) for each in others)
        for each in others:
            if ahead >= BATCH_EVENTS:
                return
            if not each.pending:
                _read(each)
                each.ahead = True
                ahead += len(each.pending)

    def finish(self) -> None:
        """Unlink files that are fully stored and whose writer is dead."""
        at = time.monotonic()
        for path, each in list(self._shipments.items()):
            if each.closing and not each.pending and each.held_until <= at:
                try:
                    if not each.tail.grown():
                        each.tail.close(remove=True)
                        del self._shipments[path]
                except OSError:  # such as a read-only disk; shipping the file twice is harmless
                    each.held_until = at + RETRY_S
                    logger.exception(
                        "outbox file not removed, will try again", extra={"file": path.name}
                    )

    def sync(self) -> None:
        """Sync files that are not fully shipped to the disk, and detect dead writers."""
        for each in self._shipments.values():
            each.tail.try_finish()
        for each in self._shipments.values():
            try:
                if each.pending or each.tail.grown():
                    each.tail.sync()
            except OSError:  # one file's bad sector must not block the other files
                logger.exception(
                    "outbox file not synced to the disk, will try again",
                    extra={"file": each.tail.path.name},
                )

    def close(self) -> None:
        """Close all files and release the adopted directories."""
        for each in self._shipments.values():
            each.tail.close(remove=False)
        self._shipments.clear()
        for directory in self._adopted:
            directory.release()
        self._adopted.clear()

    def _ready(self) -> list[Shipment]:
        at = time.monotonic()
        return [each for each in self._shipments.values() if each.held_until <= at]

    def _open(self, directory: WorkerDirectory, path: Path) -> None:
        try:
            UUID(path.stem.rpartition(".")[2])
            path.name.encode()  # the name is stored in the database, as text
        except ValueError:
            self._skipped_until[path] = math.inf
            logger.warning("not an outbox file, not shipped", extra={"file": ascii(path.name)})
            return
        try:
            tail = Tail(path)
            tail.try_finish()  # so that `gather` knows which calls are running
            self._shipments[path] = Shipment(read_to=made_at(path), tail=tail)
        except FileNotFoundError:  # another worker adopted, shipped and unlinked it
            return
        except OSError:  # another user owns it, or no file descriptors are left
            self._skipped_until[path] = time.monotonic() + RETRY_S
            logger.exception(
                "outbox file can't be opened, will try again", extra={"file": path.name}
            )
            return
        (directory.path / f"{job_of(path)}{ACCEPTED}").unlink(missing_ok=True)


def _read(each: Shipment) -> None:
    try:
        each.read()
    except OSError:  # one file's bad sector must not block the other files
        each.held_until = time.monotonic() + RETRY_S
        extra = {"file": each.tail.path.name}
        logger.exception("outbox file can't be read, will try again", extra=extra)


def _files(directory: WorkerDirectory) -> list[Path]:
    try:
        return directory.files()
    except FileNotFoundError:  # the directory was removed: nothing is left to ship
        return []


def _notes(directory: WorkerDirectory) -> list[Path]:
    try:
        return directory.accepted()
    except FileNotFoundError:
        return []
