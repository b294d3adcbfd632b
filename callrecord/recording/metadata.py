"""The metadata of jobs, rooms and participants, and the call header that is made from it.

Front ends put JSON there by convention, but it may be any text.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from callrecord.events import CallStarted, new_id, now


def call_header(job: Any, worker_id: UUID, agent_identity: str) -> CallStarted:
    """Return the first event of a job's call: it identifies the call and its row.

    `callId` is read only from the job's and the room's metadata: the front end's server sets both,
    never a participant.
    """
    room = job.room
    job_metadata, room_metadata = told(job.metadata) or {}, told(room.metadata) or {}
    created_ms = room.creation_time_ms or room.creation_time * 1000
    call_id = job_metadata.get("callId") or room_metadata.get("callId")
    return CallStarted(
        key=new_id(),
        job_id=job.id,
        room_name=room.name,
        room_sid=room.sid,
        room_created_at=datetime.fromtimestamp(created_ms / 1000, UTC) if created_ms else None,
        call_id=str(call_id) if call_id else None,
        worker_id=worker_id,
        agent_name=job.agent_name,
        agent_identity=agent_identity,
        at=now(),
        metadata={"livekit": {"dispatch_id": job.dispatch_id}} if job.dispatch_id else {},
    )


_DEPTH = 32
"""The deepest nesting that is kept as JSON: readers of a row have limits of their own."""


def told(metadata: str) -> dict[str, Any] | None:
    """Parse the metadata of a room, job or participant.

    Returns:
        The JSON object; empty without metadata; None if it is not an object or nested too deeply.
    """
    if not metadata:
        return {}
    try:
        value = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_shallow(value) else None


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return True
    return False


def _inside(value: Any) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value
    return [inner for inner in values if isinstance(inner, dict | list)]
