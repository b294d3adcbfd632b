"""Reports the contents of an outbox directory; needs no database and changes nothing."""

import time
from pathlib import Path

import msgspec

from callrecord.errors import Stop
from callrecord.outbox.directory import ACCEPTED
from callrecord.outbox.reader import Tail
from callrecord.outbox.refused_files import files_under
from callrecord.outbox.writer import SUFFIX, made_at

QUIET_S = 300.0
"""Seconds without a write after which a file's call is over, and the file should be shipped."""


class DirectoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's subdirectory.

    Attributes:
        files: Calls that are not fully shipped, including those that are running.
        events: All events in these files, shipped or not: the disk has no record of what shipped.
        oldest_s: Seconds since the oldest of these calls started.
        quiet: Files without a write in the last five minutes.
        accepted: Accepted jobs that have no file yet.
        refused: Events that Postgres rejected, even as refused ones (`refused list`).
    """

    directory: str
    files: int
    events: int
    bytes: int
    oldest_s: float
    quiet: int
    accepted: int
    refused: int


def outbox_status(root: Path) -> list[DirectoryStatus]:
    """Return the status of an outbox, or of one worker's subdirectory.

    Raises:
        Stop: There is no such directory, or it can't be read.
    """
    try:
        places = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
        found = [_directory(place) for place in places]
    except OSError as error:
        raise Stop(f"{root}: {error.strerror}") from error
    return [each for each in found if each.files or each.accepted or each.refused]


def _directory(place: Path) -> DirectoryStatus:
    events = size = quiet = files = 0
    oldest = now = time.time()
    for path in place.glob(f"*{SUFFIX}"):
        try:
            made, changed = made_at(path), path.stat()
            tail = Tail(path)
        except (FileNotFoundError, ValueError):  # just shipped, or not an outbox file
            continue
        try:
            events += max(0, tail.written() - 2)  # the first two lines are the header
        finally:
            tail.close(remove=False)
        files, size, oldest = files + 1, size + changed.st_size, min(oldest, made)
        quiet += now - changed.st_mtime > QUIET_S
    return DirectoryStatus(
        directory=str(place),
        files=files,
        events=events,
        bytes=size,
        oldest_s=max(0.0, now - oldest),
        quiet=quiet,
        accepted=len(list(place.glob(f"*{ACCEPTED}"))),
        refused=sum(path.parent.parent == place for path in files_under(place)),
    )
