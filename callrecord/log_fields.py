"""By which a reader finds the call that a log line is about."""

from uuid import UUID

from callrecord.events import CallStarted


def log_fields(header: CallStarted) -> dict[str, str]:
    """Return job, room and call id.

    The call id is that of the row: the one the front end named, or else the call's own key. Only
    where a row is found by its room's name, or a named one is not there, is it another; the row's
    `job_id` is the job's in any case.
    """
    return {
        "job_id": header.job_id,
        "room": header.room_name,
        "call_id": _named(header.call_id) or str(header.key),
    }


def _named(call_id: str | None) -> str | None:
    try:
        return str(UUID(call_id)) if call_id else None
    except ValueError:
        return None
