"""Workers of the tests of heartbeats: what they told, made older than it is by the owner."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from callrecord.postgres.workers import Workers
from tests.postgres.server import Connection

LIMIT_S = 60.0


def about(worker_id: UUID, **told: Any) -> dict[str, Any]:
    """Return what a heartbeat tells."""
    fields = {
        "id": worker_id,
        "kind": "worker",
        "hostname": "host",
        "pid": 1,
        "uptime_s": 0.0,
        "lost_after_s": LIMIT_S,
        "backlog_events": 0,
        "backlog_bytes": 0,
        "backlog_seconds": 0.0,
        "refused_events": 0,
        "adopted": [],
    }
    return fields | told


async def beaten(workers: Workers, worker_id: UUID | None = None, **told: Any) -> UUID:
    """Write a heartbeat, of a new worker by default; return its id."""
    worker_id = worker_id or uuid4()
    await workers.beat(about(worker_id, **told))
    return worker_id


async def silent(pg: Connection, worker_id: UUID, seconds: float) -> datetime:
    """Have the last heartbeat be that long ago; return when it was."""
    heard: datetime = await pg.fetchval(
        "update voice_worker.workers set heartbeat_at = now() - $2::interval where id = $1 "
        "returning heartbeat_at",
        worker_id,
        timedelta(seconds=seconds),
    )
    return heard


async def watching(workers: Workers, pg: Connection, seconds: float = 2 * LIMIT_S) -> UUID:
    """Return a worker whose heartbeats have come for that long."""
    worker_id = await beaten(workers)
    await pg.execute(
        "update voice_worker.workers set unbroken_since = now() - $2::interval where id = $1",
        worker_id,
        timedelta(seconds=seconds),
    )
    return worker_id
