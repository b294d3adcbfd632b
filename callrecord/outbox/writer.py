"""The outbox: one append-only file for each call, which survives the death of its process.

A line is `crc32 sequence JSON`; the checksum covers all that follows it. A writer holds a flock on
its file until it exits: that lock, never a pid, shows whether the writer is alive. The file gets
its name, by rename, only once it is locked and has its first lines.
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
UNNAMED = ".new"
_TIME_ORDERED = 7
RESERVE = "reserve"
"""File in a worker's directory that is removed when the disk is full, see `disk_reserve`."""

FULL = (errno.ENOSPC, errno.EDQUOT)

CLOSE_PATIENCE_S = 5.0
"""How long `close` retries a disk that refuses writes; then the events in memory are lost."""

_open_writers: "weakref.WeakSet[OutboxWriter]" = weakref.WeakSet()


def frame(sequence: int, payload: bytes) -> bytes:
    """Return one line of the file, with its newline."""
    body = b"%d %s" % (sequence, payload)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def job_of(path: Path) -> str:
    """Return the LiveKit job id in an outbox file's name (`JOB.KEY.events`)."""
    return path.name.removesuffix(SUFFIX).rpartition(".")[0]


def made_at(path: Path) -> float:
    """Return when a call's file was made, in seconds since 1970.

    The key in its name has the time; if not, this is its last change. Raises OSError if it is gone.
    """
    key = UUID(path.stem.rpartition(".")[2])
    return (key.int >> 80) / 1000 if key.version == _TIME_ORDERED else path.stat().st_mtime


def hidden_path(directory: Path, header: CallStarted) -> Path:
    """Return the path of a call's file before it is renamed to its final name."""
    return directory / f".{_name(header)}{UNNAMED}"


def _name(header: CallStarted) -> str:
    return f"{header.job_id}.{header.key.hex}{SUFFIX}"


class OutboxWriter:
    """Appends one call's events. Used from one thread; `append` never waits or raises OSError.

    When the disk refuses a write (full, quota, broken), the worker's reserve is removed. If that
    does not help, the bytes stay in memory, in order; every later append and `close` retry them.
    Only `close` waits, for CLOSE_PATIENCE_S at most.

    Attributes:
        path: The file, `JOB.KEY.events` in the worker's directory.
        appended: Number of events that were appended.
        failed_writes: Number of writes that the disk refused; their bytes are held in memory.
    """

    def __init__(self, directory: Path, header: CallStarted) -> None:
        """Create the file, locked, with the header on its first two lines.

        The header is written twice so that one flipped bit can't destroy a call's identity.

        Raises:
            OSError: The file can't be created, so the call can't be recorded.
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
                raise error  # noqa: TRY301 - cleaned up below
            hidden.rename(self.path)
        except BaseException:  # whatever it was: half a file would be taken for a call
            hidden.unlink(missing_ok=True)
            os.close(self._fd)
            raise
        self._sequence = 2
        _open_writers.add(self)

    @property
    def closed(self) -> bool:
        """Whether the file is closed and its lock released."""
        return self._fd < 0

    @property
    def held_bytes(self) -> int:
        """Bytes held in memory because the disk refused them."""
        return len(self._held)

    def append(self, event: Event) -> int:
        """Append one event and return its sequence in this file; the first one is 3.

        Raises:
            ValueError: The writer is closed, which is a bug in the recorder.
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
        """Retry the bytes in memory; return whether all are written."""
        self._write(b"")
        return not self._held

    def close(self) -> None:
        """Close the file and release its lock. Safe to call twice."""
        if self._fd < 0:
            return
        deadline = time.monotonic() + CLOSE_PATIENCE_S
        while not self.flush():
            if time.monotonic() > deadline:
                lost = {"bytes": len(self._held), "events": self._held.count(b"\n")}
                logger.error(
                    "events lost at the end of a call, the disk refuses writes: free space",
                    extra={"file": self.path.name, **lost},
                )
                break
            time.sleep(0.1)
        self._release()

    def _write(self, line: bytes) -> None:
        # Refused bytes are written first; a partly written line continues where it stopped.
        data = bytes(self._held) + line if self._held else line
        written, error = self._write_out(data)
        if error is not None:
            self.failed_writes += 1
            if not self._held:
                logger.error(
                    "outbox write failed, events wait in memory: free space on the disk",
                    extra={"file": self.path.name, "errno": errno.errorcode.get(error.errno or 0)},
                    exc_info=error,
                )
        self._held = bytearray(data[written:])

    def _write_out(self, data: bytes) -> tuple[int, OSError | None]:
        """Write as much as the disk accepts; return the bytes written and the error, if any."""
        written = 0
        while written < len(data):
            try:
                written += os.write(self._fd, data[written:] if written else data)
            except OSError as error:
                if error.errno not in FULL or not self._release_reserve():
                    return written, error
        return written, None

    def _release_reserve(self) -> bool:
        try:
            (self.path.parent / RESERVE).unlink()
        except OSError:  # another process removed it, or the disk has failed
            return False
        logger.error("disk full, released the reserve: free space", extra={"file": self.path.name})
        return True

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        _open_writers.discard(self)
        os.close(fd)


def _close_in_child() -> None:
    # A child forked by a tool would keep the lock after the job has died.
    for writer in list(_open_writers):
        writer._release()  # noqa: SLF001 - same module


locks.in_forked_child(_close_in_child)
