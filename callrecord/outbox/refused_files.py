"""Events that Postgres rejects: kept whole, with the reason, until an operator handles them.

They are kept in `voice_worker.refused_events`. An event that even this table rejects is kept in a
file, `<worker>/refused/*.json` in the outbox, which no shipper ships.
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
    """One event as its outbox file had it.

    Attributes:
        source: Name of the outbox file.
        byte_offset: Where its line started; negative for a gap, which has no bytes.
        raw: The line.
        error: Why it was refused. Postgres' text may quote the row, and so what people said.
        sqlstate: Postgres' code; empty if the event was never sent.
        job_id: LiveKit's job.
        call_key: The key that the recorder made for the call.
        call_id: Id of the call's row, which differs from the key if a front end created the row;
            None if there is no row.
        header: The call's first event; a retry needs it.
        refused_at: When it was refused.
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
        """The id by which an operator names it."""
        return f"{self.source}@{self.byte_offset}"


def keep_in_file(worker: Path, event: RefusedEvent) -> Path:
    """Write an event to its own file and sync it; a second call changes nothing.

    Args:
        worker: The worker's subdirectory of the outbox.
        event: The event that Postgres rejects.

    Raises:
        OSError: The file can't be written.
    """
    directory = worker / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{event.source}.{event.byte_offset}{_FILE}"
    if not path.exists():
        replace_file(path, event)
        sync_directory(worker)
    return path


def replace_file(path: Path, event: RefusedEvent) -> None:
    """Replace an event's file atomically.

    Raises:
        OSError: The file can't be written.
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
    """Return the files of refused events in an outbox, or in one worker's subdirectory."""
    found = [*outbox.glob(f"*/{DIRECTORY}/*{_FILE}"), *outbox.glob(f"{DIRECTORY}/*{_FILE}")]
    return sorted(path for path in found if not path.name.startswith("."))


def read_file(path: Path) -> RefusedEvent:
    """Return the event of a file.

    Raises:
        OSError: It can't be read.
        msgspec.DecodeError: It is not the file of a refused event.
    """
    return msgspec.json.decode(path.read_bytes(), type=RefusedEvent)
