"""The outbox: one append-only file for each call, which survives the death of its process.

A line is `crc32 sequence JSON`, the checksum over all that follows it. The writer holds a flock on
the file for its life: whether a writer lives is told by that lock and never by a pid. The file
appears under its name, by rename, only once it is locked and has its first lines.
"""

import errno
import os
import time
import weakref
import zlib
from pathlib import Path
from uuid import UUID

from callrecord.events import CallStarted, Event, encode
from callrecord.outbox import locks
from callrecord.privacy import private_logger

logger = private_logger("voice.outbox")

SUFFIX = ".events"
UNBORN = ".new"
_TIME_ORDERED = 7
RESERVE = "reserve"
"""File of a worker's directory that is given up when the disk is full, see `disk`."""

FULL = (errno.ENOSPC, errno.EDQUOT)

CLOSE_PATIENCE_S = 5.0
"""How long the end of a call waits for a disk that takes nothing; then what it holds is lost."""

_open_writers: "weakref.WeakSet[OutboxWriter]" = weakref.WeakSet()


def frame(sequence: int, payload: bytes) -> bytes:
    """Return one line of the file, newline included."""
    body = b"%d %s" % (sequence, payload)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def job_of(path: Path) -> str:
    """Return the LiveKit job id in an outbox file's name (`JOB.KEY.events`)."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


def made_at(path: Path) -> float:
    """Return when a call's file was made, by the key in its name; in seconds since 1970.

    By its last change if the key tells no time. Raises OSError if the file is gone.
    """
    key = UUID(path.stem.rpartition(".")[2])
    return (key.int >> 80) / 1000 if key.version == _TIME_ORDERED else path.stat().st_mtime


def hidden_path(directory: Path, header: CallStarted) -> Path:
    """Return where a call's file is made, before it appears under its name."""
    return directory / f".{_name(header)}{UNBORN}"


def _name(header: CallStarted) -> str:
    return f"{header.job_id}.{header.key.hex}{SUFFIX}"


class OutboxWriter:
    """Appends one call's events. Used from one thread; nothing here waits or raises OSError.

    When the disk refuses a write (full, quota, broken) the worker's reserve is given up; then the
    bytes are held in memory, in order, and tried again with every later append and at close. Only
    that last close waits, for CLOSE_PATIENCE_S at most.

    Attributes:
        path: The file, `JOB.KEY.events` in the worker's directory.
        appended: Events taken in.
        failed_writes: How often the disk refused; what it refused is in memory until it takes it.
    """

    def __init__(self, directory: Path, header: CallStarted) -> None:
        """Create the file, locked, with the header on its first two lines.

        The header stands twice so that one flipped bit cannot take a whole call's identity away.

        Raises:
            OSError: The file can't be made: the call can't be recorded at all.
        """
        self.path = directory / _name(header)
        self.appended = 0
        self.failed_writes = 0
        self._held = bytearray()
        hidden = hidden_path(directory, header)
        self._fd = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            locks.lock(self._fd)
            data = frame(1, encode(header)) + frame(2, encode(header))
            _, error = self._write_out(data)
            if error is not None:
                raise error
            hidden.rename(self.path)
        except OSError:
            hidden.unlink(missing_ok=True)
            os.close(self._fd)
            raise
        self._sequence = 2
        _open_writers.add(self)

    @property
    def closed(self) -> bool:
        """Whether the file was closed, and its lock given up."""
        return self._fd < 0

    @property
    def held_bytes(self) -> int:
        """Bytes that the disk has not taken yet."""
        return len(self._held)

    def append(self, event: Event) -> int:
        """Append one event and return its sequence in this file, from 3 on.

        Raises:
            ValueError: The writer is closed; a recorder that appends after its end has a bug.
        """
        if self._fd < 0:
            message = f"append of {type(event).__name__} to a closed outbox file"
            raise ValueError(message)
        payload = encode(event)  # first: an event that can't be encoded must not leave a gap
        self._sequence += 1
        self.appended += 1
        self._write(frame(self._sequence, payload))
        return self._sequence

    def flush(self) -> bool:
        """Try again to write what the disk refused; return whether nothing is left."""
        self._write(b"")
        return not self._held

    def close(self) -> None:
        """Close the file and give up its lock. Safe to call twice."""
        if self._fd < 0:
            return
        deadline = time.monotonic() + CLOSE_PATIENCE_S
        while not self.flush():
            if time.monotonic() > deadline:
                lost = {"bytes": len(self._held), "events": self._held.count(b"\n")}
                logger.error(
                    "events lost: the disk took no more at the end of the call",
                    extra={"file": self.path.name, **lost},
                )
                break
            time.sleep(0.1)
        self._release()

    def _write(self, line: bytes) -> None:
        # What was refused goes first, and a half-written line goes on where it stopped.
        data = bytes(self._held) + line if self._held else line
        written, error = self._write_out(data)
        if error is not None:
            self.failed_writes += 1
            if not self._held:
                logger.error(
                    "outbox write refused, holding events in memory",
                    extra={"file": self.path.name, "errno": errno.errorcode.get(error.errno or 0)},
                    exc_info=error,
                )
        self._held = bytearray(data[written:])

    def _write_out(self, data: bytes) -> tuple[int, OSError | None]:
        """Write all that the disk takes: it may take a part first."""
        written = 0
        while written < len(data):
            try:
                written += os.write(self._fd, data[written:] if written else data)
            except OSError as error:
                if error.errno not in FULL or not self._take_reserve():
                    return written, error
        return written, None

    def _take_reserve(self) -> bool:
        try:
            (self.path.parent / RESERVE).unlink()
        except OSError:  # another call has taken it, or the disk is not only full
            return False
        logger.error("disk full, took the reserve", extra={"file": self.path.name})
        return True

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        _open_writers.discard(self)
        os.close(fd)


def _close_in_child() -> None:
    # A child forked by a tool would keep the lock of a dead job for its own life.
    for writer in list(_open_writers):
        writer._release()  # noqa: SLF001 - same module


locks.in_forked_child(_close_in_child)
