"""Records a crashed call for each accepted job that died before its first event."""

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from callrecord.events import CallEnded, CallStarted, decode, log_fields, now
from callrecord.outbox.directory import ACCEPTED, WorkerDirectory
from callrecord.outbox.writer import OutboxWriter, hidden_path, job_of
from callrecord.privacy import private_logger

logger = private_logger("voice.outbox")

_NOTHING_REPORTED: Final = "the job died before it reported anything"
"""The usage gap of such a call."""


def crashed_end(at: datetime) -> CallEnded:
    """Return the end of such a job's call."""
    return CallEnded(at=at, end_reason="worker_crashed", usage_gaps=[_NOTHING_REPORTED])


def settle(directory: WorkerDirectory, *, alive: set[str]) -> list[str]:
    """Write a crashed call for each accepted job that died before its first event.

    The shipper removes the notes of jobs that have written events.

    Args:
        directory: The worker's own, or one that it adopted.
        alive: Ids of jobs that are running or starting.

    Returns:
        The ids of the jobs whose calls it wrote.
    """
    recorded: list[str] = []
    for note in directory.accepted():
        job_id = note.name.removesuffix(ACCEPTED)
        if job_id in alive or any(job_of(path) == job_id for path in directory.files()):
            continue
        header = _read(note)
        if header is not None:
            # Left by a worker that was killed right here; only this note has this key.
            hidden_path(directory.path, header).unlink(missing_ok=True)
            writer = OutboxWriter(directory.path, header)
            writer.append(crashed_end(now()))
            writer.close()
            logger.error("job died before its first event", extra=log_fields(header))
            recorded.append(job_id)
        note.unlink(missing_ok=True)
    return recorded


def _read(note: Path) -> CallStarted | None:
    try:
        event = decode(note.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        # A crash cut it short: the worker accepts a job only after its note is written.
        logger.warning(
            "unreadable note of a job removed", extra={"file": note.name, "error": str(error)}
        )
        return None
    return event if isinstance(event, CallStarted) else None
