"""Reading an outbox file while it grows, and telling its end."""

import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from db.events import CallEnded, CallStarted, Event, decode

CHUNK = 256 * 1024
"""Bytes read at once: bounds memory and how long one file keeps the others waiting."""

_FRAME = re.compile(rb"([0-9a-f]{8}) (([0-9]+) (.*))", re.DOTALL)
_FRAME_START = re.compile(rb"[0-9a-f]{8} [0-9]+ \{")


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as read, with its place in the file."""

    event: Event
    sequence: int
    offset: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no event: a flipped bit, or the unfinished last line of a dead writer."""

    offset: int
    raw: bytes
    reason: str


class Tail:
    """One outbox file, read from its start to its growing end.

    Attributes:
        path: The file.
        header: The call's first event, once read.
        ended: Whether a CallEnded was read.
        seen_alive: Whether its writer was alive at some time while we looked.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError if it is gone or not readable."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY)
        self._offset = 0
        self._rest = b""
        self._last_sequence = 0
        self.header: CallStarted | None = None
        self.ended = False
        self._damaged = 0
        self.seen_alive = False
        self._locked = False

    @property
    def locked(self) -> bool:
        """Whether we hold the dead writer's lock."""
        return self._locked

    @property
    def next_sequence(self) -> int:
        """The sequence that the next event would have."""
        return self._last_sequence + 1

    def written_at(self) -> datetime:
        """Return when the writer appended last, by the file's own time."""
        return datetime.fromtimestamp(os.fstat(self._fd).st_mtime, UTC)

    def grown(self) -> bool:
        """Return whether there is something that was not read yet."""
        return os.fstat(self._fd).st_size > self._offset

    def read(self) -> list[Entry | Damage]:
        """Return what came since the last call, at most CHUNK bytes of it."""
        data = os.pread(self._fd, CHUNK, self._offset)
        start = self._offset - len(self._rest)
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        found: list[Entry | Damage] = []
        for line in lines:
            found.extend(self._parse(line, start))
            start += len(line) + 1
        return found

    def try_finish(self) -> bool:
        """Take the lock of a dead writer, and keep it. False while the writer lives.

        Only under the lock is the end of the file its end: read once more after this.
        """
        if self._locked:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.seen_alive = True
            return False
        self._locked = True
        return True

    def rest(self) -> Damage | None:
        """Return the unfinished last line, under the lock and after reading to the end."""
        if not self._rest:
            return None
        return Damage(self._offset - len(self._rest), self._rest, "unfinished line")

    def sync(self) -> None:
        """Bring the file to the disk (fdatasync)."""
        os.fdatasync(self._fd)

    def close(self, *, remove: bool) -> None:
        """Close, and with `remove` unlink while the lock is still held."""
        if remove and self._same_file():
            self.path.unlink()
        os.close(self._fd)

    def _same_file(self) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def _parse(self, line: bytes, offset: int) -> Iterator[Entry | Damage]:
        entry = _entry(line, offset)
        if entry is not None:
            yield from self._note(entry)
            return
        # A flipped newline joins two lines: look for a whole one inside before giving up on it.
        for match in _FRAME_START.finditer(line, 1):
            tail = _entry(line[match.start() :], offset + match.start())
            if tail is not None:
                before = line[: match.start() - 1]
                head = _entry(before, offset)
                yield from self._note(head) if head else self._damage(before, offset)
                yield from self._note(tail)
                return
        yield from self._damage(line, offset)

    def _damage(self, raw: bytes, offset: int) -> Iterator[Damage]:
        self._damaged += 1
        yield Damage(offset, raw, "bad checksum or unknown event")

    def _note(self, entry: Entry) -> Iterator[Entry | Damage]:
        missing = entry.sequence - self._last_sequence - 1 - self._damaged
        if missing > 0:
            yield Damage(entry.offset, b"", f"{missing} events missing before {entry.sequence}")
        self._last_sequence = entry.sequence
        self._damaged = 0
        if isinstance(entry.event, CallStarted) and self.header is None:
            self.header = entry.event
        if isinstance(entry.event, CallEnded):
            self.ended = True
        yield entry


def _entry(line: bytes, offset: int) -> Entry | None:
    match = _FRAME.fullmatch(line)
    if match is None or int(match[1], 16) != zlib.crc32(match[2]):
        return None
    try:
        return Entry(decode(match[4]), int(match[3]), offset, line)
    except msgspec.DecodeError:
        return None
