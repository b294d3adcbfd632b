"""Jobs that were accepted and died before their first event: they leave a call that says so."""

from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from callrecord.events import CallEnded, CallStarted, decode, log_fields, now
from callrecord.outbox.directory import ACCEPTED, WorkerDirectory
from callrecord.outbox.writer import OutboxWriter, hidden_path, job_of
from callrecord.privacy import private_logger

logger = private_logger("voice.outbox")

_NOTHING_TOLD: Final = "the job died before it told anything"
"""What the ledger of such a call lacks."""


def died_unheard(at: datetime) -> CallEnded:
    """Return how the call of such a job has ended."""
    return CallEnded(at=at, end_reason="worker_crashed", usage_gaps=[_NOTHING_TOLD])


def settle(directory: WorkerDirectory, *, alive: set[str]) -> list[str]:
    """Turn each note of an accepted job that is dead and wrote nothing into a crashed call.

    The shipper removes the notes of jobs that did write.

    Args:
        directory: A worker's own, or one it has adopted.
        alive: Ids of jobs that run or are about to.

    Returns:
        The ids of the jobs that were settled.
    """
    settled: list[str] = []
    for note in directory.accepted():
        job_id = note.name.removesuffix(ACCEPTED)
        if job_id in alive or any(job_of(path) == job_id for path in directory.files()):
            continue
        header = _read(note)
        if header is not None:
            # Of a worker that was killed at this very place; only notes have this key.
            hidden_path(directory.path, header).unlink(missing_ok=True)
            writer = OutboxWriter(directory.path, header)
            writer.append(died_unheard(now()))
            writer.close()
            logger.error("job died before its first event", extra=log_fields(header))
            settled.append(job_id)
        note.unlink(missing_ok=True)
    return settled


def _read(note: Path) -> CallStarted | None:
    try:
        event = decode(note.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        # Cut short by a crash: the job was not accepted yet when this was written.
        logger.warning("unreadable note dropped", extra={"file": note.name, "error": str(error)})
        return None
    return event if isinstance(event, CallStarted) else None
