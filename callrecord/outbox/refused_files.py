"""Events that Postgres never takes: kept whole, with the reason, until somebody looks at them.

They stand in `voice_worker.refused_events`; one that even that table does not take stands in a file
of its own, `<worker>/refused/*.json` in the outbox, which no shipper ships by itself.
"""

import os
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from callrecord.events import CallStarted
from callrecord.outbox.local_disk import sync_data, sync_directory

DIRECTORY = "refused"
_FILE = ".json"


class RefusedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as it stood in its outbox file.

    Attributes:
        source: Name of the outbox file.
        byte_offset: Where it stood in it; negative for a gap, which has no bytes.
        raw: The line.
        error: Why it was refused. Postgres' text may quote the row, and so what people said.
        sqlstate: Postgres' code; empty if it never got there.
        job_id: LiveKit's job.
        call_key: The key that the recorder made for the call.
        call_id: The call's row, which is another if a front end had made it; None if there is none.
        header: The call's first event, without which it can't be tried again.
        refused_at: When.
    """

    source: str
    byte_offset: int
    raw: bytes
    error: str
    refused_at: datetime
    sqlstate: str = ""
    job_id: str | None = None
    call_key: UUID | None = None
    call_id: UUID | None = None
    header: CallStarted | None = None

    @property
    def id(self) -> str:
        """By which an operator names it."""
        return f"{self.source}@{self.byte_offset}"


def keep_in_file(worker: Path, event: RefusedEvent) -> Path:
    """Write an event to a file of its own, safe on the disk when this returns. Twice is once.

    Args:
        worker: The worker's subdirectory of the outbox.
        event: What Postgres does not take.

    Raises:
        OSError: The disk does not take it either.
    """
    directory = worker / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{event.source}.{event.byte_offset}{_FILE}"
    if not path.exists():
        replace_file(path, event)
        sync_directory(worker)
    return path


def replace_file(path: Path, event: RefusedEvent) -> None:
    """Write an event's file anew: the old or the new one is there, never half of one.

    Raises:
        OSError: The disk does not take it.
    """
    hidden = path.with_name(f".{path.name}.new")
    fd = os.open(hidden, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(event))
            file.flush()
            sync_data(fd)
        hidden.rename(path)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def files_under(outbox: Path) -> list[Path]:
    """Return the files of refused events of an outbox, or of one worker's subdirectory."""
    found = [*outbox.glob(f"*/{DIRECTORY}/*{_FILE}"), *outbox.glob(f"{DIRECTORY}/*{_FILE}")]
    return sorted(path for path in found if not path.name.startswith("."))


def read_file(path: Path) -> RefusedEvent:
    """Return the event of a file.

    Raises:
        OSError: It can't be read.
        msgspec.DecodeError: It is no such file.
    """
    return msgspec.json.decode(path.read_bytes(), type=RefusedEvent)
