"""All outbox files that a worker ships: which there are, whose turn it is, which are done."""

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
"""Events in a batch, about; bounds the time that one statement takes."""

RETRY_S = 10.0
"""Pause before a file that the disk did not give is tried again."""


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
        """Return files with something to store, each call in its turn, living ones first.

        First comes what was gathered before and could not be stored, then what was read ahead: so
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
            return  # that is all there was
        others = [each for each in self._ready() if each not in gathered]
        others.sort(key=lambda each: each.tail.locked)  # a living call waits for no backlog
        ahead = sum(len(each.pending) for each in others)
        for each in others:
            if ahead >= BATCH_EVENTS:
                return
            if not each.pending:
                _read(each)
                each.ahead = True
                ahead += len(each.pending)

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
        """Bring what is not shipped yet to the disk, and see which writers have died."""
        for each in self._shipments.values():
            each.tail.try_finish()
        for each in self._shipments.values():
            try:
                if each.pending or each.tail.grown():
                    each.tail.sync()
            except OSError:  # one file's bad sector must not keep all the others
                logger.exception(
                    "outbox file not brought to the disk, will try again",
                    extra={"file": each.tail.path.name},
                )

    def close(self) -> None:
        """Close all files and give the adopted directories back."""
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
            path.name.encode()  # the name goes into the database, as text
        except ValueError:
            self._strange[path] = math.inf
            logger.warning("not an outbox file, left alone", extra={"file": ascii(path.name)})
            return
        try:
            tail = Tail(path)
            tail.try_finish()  # a living call's first word is not to wait for a backlog
            self._shipments[path] = Shipment(read_to=made_at(path), tail=tail)
        except FileNotFoundError:  # shipped and unlinked by its adopter since we listed it
            return
        except OSError:  # another user's, or no descriptors left
            self._strange[path] = time.monotonic() + RETRY_S
            logger.exception(
                "outbox file can't be opened, will try again", extra={"file": path.name}
            )
            return
        (directory.path / f"{job_of(path)}{ACCEPTED}").unlink(missing_ok=True)


def _read(each: Shipment) -> None:
    try:
        each.read()
    except OSError:  # one file's bad sector must not keep all the others
        each.held_until = time.monotonic() + RETRY_S
        extra = {"file": each.tail.path.name}
        logger.exception("outbox file not readable, will try again", extra=extra)


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
