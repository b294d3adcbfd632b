"""The header of a call: what a job tells about it before anything has happened."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from callrecord.events import CallStarted, new_id, now
from callrecord.recording.told import told


def call_header(job: Any, worker_id: UUID, agent_identity: str) -> CallStarted:
    """Return the first event of a job's call: who it is, and which row it belongs to.

    Only the job's and the room's metadata are asked for `callId`: both are set by the front end's
    server, never by a participant.
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
