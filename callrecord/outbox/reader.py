"""Reads an outbox file while it grows, and detects its end."""

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from callrecord.events import CallEnded, CallStarted, Event, Message, Usage, decode, now
from callrecord.outbox import locks
from callrecord.outbox.local_disk import sync_data

CHUNK = 256 * 1024
"""Bytes per read; bounds the memory, and the time that other files wait for this one."""

LINE_LIMIT = 64 * 1024 * 1024
"""Longest line in bytes; anything longer is damage, and is kept aside in pieces."""

_FRAME = re.compile(rb"([0-9a-f]{8}) (([0-9]+) (.*))", re.DOTALL)
_LINE_START = re.compile(rb"(?:^|\n)[0-9a-f]{8} ([0-9]+) ")
_FRAME_START = re.compile(rb"[0-9a-f]{8} [0-9]+ \{")
_CHECKSUM = re.compile(rb"[0-9a-f]{8} ")
_TAILS_TRIED = 64
"""Places in a damaged line at which a whole one is looked for by its own checksum."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as read, with its place in the file."""

    event: Event
    sequence: int
    offset: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are not an event: a flipped bit, or the unfinished last line of a dead writer.

    Attributes:
        offset: Where they start in the file; negative for a gap, which has no bytes.
    """

    offset: int
    raw: bytes
    reason: str


class Tail:
    """One outbox file, read from its start to its growing end.

    Attributes:
        path: The file.
        header: The call's first event, once read.
        ended: Whether a CallEnded was read.
        drafts: Turns that started and were not committed in the part read so far.
        open: Requests to models that started and did not end in that part.
        seen_alive: Whether a check has found its writer alive.
        died_at: When a check first found its writer dead; None if the first check did.
    """

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError if it is gone or not readable."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY)
        self._offset = 0
        self._rest = bytearray()
        self._last_sequence = 0
        self.header: CallStarted | None = None
        self.ended = False
        self.drafts: dict[UUID, Entry] = {}
        self.open: dict[UUID, Usage] = {}
        self._damaged = 0
        self.seen_alive = False
        self.died_at: datetime | None = None
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
        """Return the time of the last append: the file's modification time."""
        return datetime.fromtimestamp(os.fstat(self._fd).st_mtime, UTC)

    def grown(self) -> bool:
        """Return whether the file has bytes that were not read yet."""
        return os.fstat(self._fd).st_size > self._offset

    def unread(self) -> int:
        """Return the number of bytes that were not read yet."""
        return max(0, os.fstat(self._fd).st_size - self._offset)

    def written(self) -> int:
        """Return the sequence of the last event in the file, read or not; 0 if there is none."""
        size = os.fstat(self._fd).st_size
        span = 4096
        while True:
            data = os.pread(self._fd, span, max(0, size - span))
            found = [int(match[1]) for match in _LINE_START.finditer(data)]
            if found or span >= size:
                return max(found, default=0)
            span *= 8

    def read(self) -> list[Entry | Damage]:
        """Return what was appended since the last read, at most CHUNK bytes of it."""
        data = os.pread(self._fd, CHUNK, self._offset)
        start = self._offset - len(self._rest)
        self._offset += len(data)
        self._rest += data
        if b"\n" not in data and len(self._rest) < LINE_LIMIT:
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        found: list[Entry | Damage] = []
        for line in lines:
            found.extend(self._parse(line, start))
            start += len(line) + 1
        if len(self._rest) >= LINE_LIMIT:
            found += self._take_rest("line without an end")
        return found

    def try_finish(self) -> bool:
        """Take a dead writer's lock and keep it; return False while the writer is alive.

        The end of the file is final only under the lock: read once more after this.
        """
        if self._locked:
            return True
        self._locked = locks.try_lock(self._fd)
        if not self._locked:
            self.seen_alive = True
        elif self.seen_alive:
            self.died_at = now()
        return self._locked

    def rest(self) -> list[Entry | Damage]:
        """Return the unfinished last line; call it under the lock, after the last read."""
        return self._take_rest("unfinished line") if self._rest else []

    def sync(self) -> None:
        """Sync the file to the disk."""
        sync_data(self._fd)

    def close(self, *, remove: bool) -> None:
        """Close the file; with `remove`, unlink it first, while the lock is still held."""
        if remove and self._same_file():
            self.path.unlink()
        locks.close(self._fd)

    def _take_rest(self, reason: str) -> list[Entry | Damage]:
        rest, self._rest = bytes(self._rest), bytearray()
        return list(self._parse(rest, self._offset - len(rest), reason))

    def _same_file(self) -> bool:
        try:
            return self.path.stat().st_ino == os.fstat(self._fd).st_ino
        except FileNotFoundError:
            return False

    def _parse(
        self, line: bytes, offset: int, reason: str = "bad checksum or unknown event"
    ) -> Iterator[Entry | Damage]:
        entry = entry_of(line, offset)
        if entry is not None:
            yield from self._note(entry)
            return
        # A flipped newline joins two lines: search the line for a whole one.
        cut = _cut_of(line, offset)
        if cut is not None:
            yield from self._parse(line[: cut - 1], offset)
            yield from self._parse(line[cut:], offset + cut, reason)
            return
        self._damaged += 1
        yield Damage(offset, line, reason)

    def _note(self, entry: Entry) -> Iterator[Entry | Damage]:
        missing = entry.sequence - self._last_sequence - 1 - self._damaged
        if missing > 0:
            # Not the entry's own offset: if that entry is refused, both would have one id.
            place = -2 - entry.offset
            yield Damage(place, b"", f"{missing} events missing before {entry.sequence}")
        self._last_sequence = entry.sequence
        self._damaged = 0
        if isinstance(entry.event, CallStarted) and self.header is None:
            self.header = entry.event
        if isinstance(entry.event, CallEnded):
            self.ended = True
        if isinstance(entry.event, Usage):
            self.open.pop(entry.event.id, None)
            if entry.event.metadata.get("open"):
                self.open[entry.event.id] = entry.event
        if isinstance(entry.event, Message):
            self.drafts.pop(entry.event.id, None)
            if entry.event.metadata.get("final") is False:
                self.drafts[entry.event.id] = entry
        yield entry


def _cut_of(line: bytes, offset: int) -> int | None:
    """Return the first place at which cutting two joined lines leaves a whole one; None if none.

    What people said may look like the start of a frame, at many places. The checksum of the first
    part is carried on from place to place; that of the second is tried at a few places only.
    """
    expected = int(line[:8], 16) if _CHECKSUM.match(line) else -1
    checksum, summed = 0, len(b"00000000 ")
    for tries, match in enumerate(_FRAME_START.finditer(line, 1)):
        cut = match.start()
        checksum, summed = zlib.crc32(line[summed : cut - 1], checksum), max(summed, cut - 1)
        is_whole = checksum == expected and entry_of(line[: cut - 1], offset) is not None
        if is_whole or (tries < _TAILS_TRIED and entry_of(line[cut:], offset + cut) is not None):
            return cut
    return None


def entry_of(line: bytes, offset: int) -> Entry | None:
    """Return the event of a line; None if the line is damaged or this version can't decode it."""
    match = _FRAME.fullmatch(line)
    if match is None or int(match[1], 16) != zlib.crc32(match[2]):
        return None
    try:
        return Entry(decode(match[4]), int(match[3]), offset, line)
    except msgspec.DecodeError:
        return None
