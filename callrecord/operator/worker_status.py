"""The status of the workers, their backlog and the calls that have not ended."""

from typing import Literal

import asyncpg
import msgspec

from callrecord.postgres.queries import sql
from callrecord.postgres.schema_version import check
from callrecord.schema.holes import find_holes

BACKLOG_LATE_S = 60.0
WAITS_LATE_S = 3600.0

State = Literal["alive", "late", "lost", "stopped", "adopted"]


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `voice_worker.workers`, as of its last heartbeat.

    Attributes:
        shipped_by: The worker that adopted its directory.
        swept_calls: Calls that were ended because it is lost, and were not reopened.
        open_calls: Its calls that have not ended.
    """

    id: str
    kind: str
    hostname: str
    pid: int
    started_at: str
    stopped: bool
    heartbeat_age_s: float
    lost_after_s: float
    backlog_events: int
    backlog_bytes: int
    backlog_seconds: float
    swept_calls: int
    open_calls: int
    version: str | None = None
    agent_name: str | None = None
    livekit_worker_id: str | None = None
    shipped_by: str | None = None

    @property
    def state(self) -> State:
        """Its state; `late`: no heartbeat for a third of the time after which it is lost."""
        if self.stopped:
            return "stopped"
        if self.heartbeat_age_s > self.lost_after_s:
            return "lost"
        if self.heartbeat_age_s > self.lost_after_s / 3:
            return "late"
        return "adopted" if self.shipped_by else "alive"


class OpenCalls(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that have not ended: of known workers, of no worker, or of workers without a row."""

    of: Literal["worker", "nobody", "unknown"]
    status: str
    calls: int
    oldest_s: float


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole status at one moment.

    Attributes:
        holes: Foreign rules that open calls to people, one line each.
    """

    schema_version: int
    refused_events: int
    workers: list[Worker]
    open_calls: list[OpenCalls]
    holes: list[str] = []

    def troubles(self) -> list[str]:
        """Return what needs attention, one line each; empty if all is well."""
        found = [line for worker in self.workers for line in _troubles_of(worker)]
        for each in self.open_calls:
            if each.of == "unknown":
                found.append(f"{each.calls} {each.status} calls belong to workers without a row")
            elif each.of == "nobody" and each.oldest_s > WAITS_LATE_S:
                found.append(
                    f"{each.calls} {each.status} calls have no worker, the oldest for "
                    f"{each.oldest_s:.0f} s"
                )
        if self.refused_events:
            found.append(f"{self.refused_events} events were refused")
        return found + self.holes


async def read_status(conn: "asyncpg.Connection[asyncpg.Record]") -> Status:
    """Return the status.

    Raises:
        Stop: The schema or the login is wrong for workers of this version.
    """
    await check(conn)
    found = msgspec.json.decode(await conn.fetchval(sql("status")), type=Status)
    holes = [str(hole) for hole in await find_holes(conn)]
    return msgspec.structs.replace(found, holes=holes)


def _troubles_of(worker: Worker) -> list[str]:
    name = f"worker {worker.id} on {worker.hostname}"
    silent = f"{name} is {worker.state}, its last heartbeat {worker.heartbeat_age_s:.0f} s old"
    match worker.state:
        case "late":
            return [silent]
        # A lost worker without calls or events is no trouble: its container was killed while idle.
        case "lost" if worker.open_calls or worker.swept_calls or worker.backlog_events:
            calls = f"{worker.open_calls} open and {worker.swept_calls} ended calls of it"
            return [f"{silent}: {calls}, at least {worker.backlog_events} events on its disk"]
        case "alive" if worker.backlog_seconds > BACKLOG_LATE_S:
            waits = f"{worker.backlog_events} events wait, the oldest for"
            return [f"{name} is behind: {waits} {worker.backlog_seconds:.0f} s"]
        case "stopped" if worker.open_calls:
            return [f"{name} has stopped, but {worker.open_calls} calls of it are open"]
    return []
