"""The heartbeat of whoever ships an outbox: others see by it whether its calls are alive."""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal
from uuid import UUID

from callrecord.errors import Transient, VoiceError
from callrecord.postgres.workers import Workers
from callrecord.privacy import private_logger
from callrecord.shipping.call_file import Backlog
from callrecord.shipping.sweeper import Rooms, Watch

logger = private_logger("voice.heartbeat")

REMIND_S = 60.0
LEAVE_TIMEOUT_S = 2.0
UNSERVED_EVERY_S = 60.0
LEGS_EVERY_S = 15.0
"""Seconds between two looks at the rooms in which people talk on without the agent."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often, and how long is too long.

    Attributes:
        every_s: Seconds between heartbeats.
        lost_after_s: Seconds of silence after which a worker counts as lost.
        not_served_min: Minutes after which a row that no worker took, and whose room is not there,
            counts as not served; 0: never.
    """

    every_s: float = 5.0
    lost_after_s: float = 60.0
    not_served_min: float = 15.0

    @property
    def late_after_s(self) -> float:
        """Seconds between two heartbeats that count as a gap."""
        return self.lost_after_s / 3


@dataclass(frozen=True, slots=True)
class Identity:
    """Who ships.

    Attributes:
        worker_id: The uuid of its outbox directory.
        agent_name: Asked for the name that LiveKit dispatches to.
        livekit_id: Asked for LiveKit's id of the worker, which changes when it registers anew.
    """

    worker_id: UUID
    kind: Literal["worker", "sidecar", "sweep"] = "worker"
    agent_name: Callable[[], str] = str
    livekit_id: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class Told:
    """What a heartbeat tells besides, of just now.

    Attributes:
        refused: Events that the database refused since the start.
        adopted: Directories of dead workers that it ships too.
    """

    backlog: Backlog = field(default_factory=Backlog)
    refused: int = 0
    adopted: tuple[UUID, ...] = ()


@dataclass(slots=True)
class _Step:
    every_s: float
    run: Callable[[], Coroutine[Any, Any, None]]
    trouble: str
    at_once: bool = False
    next_reminder: float = 0.0


class Heartbeat:
    """Beats, and watches the others, in the loop that starts it and over a connection of its own.

    Safe to stop twice, or unstarted. What goes wrong is logged, and tried again.
    """

    def __init__(
        self,
        dsn: str,
        identity: Identity,
        rhythm: Rhythm | None = None,
        *,
        rooms: Rooms | None = None,
    ) -> None:
        """Make it; `rooms` asks LiveKit, see `Watch`."""
        self._identity = identity
        self._rhythm = rhythm = rhythm or Rhythm()
        self._workers = Workers(dsn)
        self._watch = Watch(
            self._workers, identity.worker_id, rooms, not_served_s=rhythm.not_served_min * 60
        )
        self._asks = rooms is not None
        self._state: Callable[[], Told] = Told
        self._began = self._beaten_at = time.monotonic()
        self._beat = _Step(
            rhythm.every_s,
            self.beat,
            "heartbeat late, others may take this worker for lost",
            at_once=True,
        )
        self._begun = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, state: Callable[[], Told] = Told) -> None:
        """Begin; `state` is asked before each heartbeat."""
        self._state = state
        rhythm, watch = self._rhythm, self._watch
        steps = [self._beat, _Step(rhythm.lost_after_s / 4, watch.sweep, "no sweep")]
        if self._asks and rhythm.not_served_min > 0:
            every_s = min(UNSERVED_EVERY_S, rhythm.not_served_min * 60)
            text = "calls that nobody serves were not looked for"
            steps.append(_Step(every_s, watch.end_unserved, text))
        if self._asks:
            text = "people who talk on were not looked for"
            steps.append(_Step(LEGS_EVERY_S, watch.end_legs, text))
        self._tasks += [asyncio.create_task(self._repeat(step)) for step in steps]

    async def begin(self) -> None:
        """Have the first heartbeat written, before anything that bears the worker's id.

        Raises:
            Transient: The database is away. What else is wrong is logged, and holds up nobody.
        """
        if self._begun:
            return
        try:
            await self.beat()
        except Transient:
            raise
        except VoiceError as error:
            self._begun = True
            self._tell(self._beat, error)

    async def beat(self) -> None:
        """Write one heartbeat. Raises VoiceError."""
        if await self._workers.beat(self._about()):
            logger.warning("was taken for lost, its calls revive with their next events")
        self._begun = True
        self._beaten_at = time.monotonic()

    async def stop(self, *, all_shipped: bool) -> None:
        """End; with everything shipped, say so to the others."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            if tasks and all_shipped:
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await self._workers.leave(self._identity.worker_id)
                    await self._workers.close()
        except (VoiceError, TimeoutError) as error:
            told = {"error": str(error) or "no answer"}
            logger.warning("worker could not sign off, it will look lost", extra=told)
        finally:
            self._workers.drop()

    async def _repeat(self, step: _Step) -> None:
        waits = not step.at_once
        while True:
            if waits:  # spread a little: many workers are no crowd
                await asyncio.sleep(step.every_s * random.uniform(0.8, 1.0))  # noqa: S311
            waits = True
            try:
                await step.run()
            except Transient as error:
                # Shorter absences are told by the shipper, and what goes over this connection
                # fails with the heartbeat.
                if step is self._beat and self._late():
                    self._tell(step, error)
            except Exception as error:  # noqa: BLE001 - told, and tried again
                self._tell(step, error)

    def _late(self) -> bool:
        return time.monotonic() - self._beaten_at > self._rhythm.late_after_s

    def _tell(self, step: _Step, error: Exception) -> None:
        at = time.monotonic()
        if at >= step.next_reminder:
            step.next_reminder = at + REMIND_S
            logger.log(
                logging.WARNING if isinstance(error, Transient) else logging.ERROR,
                step.trouble,
                extra={"error": str(error)},
                exc_info=None if isinstance(error, VoiceError) else error,
            )

    def _about(self) -> dict[str, Any]:
        told = self._state()
        return {
            "id": self._identity.worker_id,
            "kind": self._identity.kind,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "version": _version(),
            "agent_name": self._identity.agent_name(),
            "livekit_worker_id": self._identity.livekit_id(),
            "uptime_s": time.monotonic() - self._began,
            "lost_after_s": self._rhythm.lost_after_s,
            "backlog_events": told.backlog.events,
            "backlog_bytes": told.backlog.bytes,
            "backlog_seconds": told.backlog.seconds,
            "refused_events": told.refused,
            "adopted": told.adopted,
        }


def _version() -> str | None:
    try:
        return metadata.version("callrecord")
    except metadata.PackageNotFoundError:  # run from its sources
        return None
