"""The heartbeat of a process that ships an outbox: it shows other workers that its calls run."""

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
from callrecord.shipping.sweeper import Rooms, Sweeper

logger = private_logger("voice.heartbeat")

REMIND_S = 60.0
LEAVE_TIMEOUT_S = 2.0
UNSERVED_EVERY_S = 60.0
LEGS_EVERY_S = 15.0
"""Seconds between two checks of the rooms where people talk on without the agent."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often heartbeats are sent, and when a worker or a row counts as lost.

    Attributes:
        every_s: Seconds between heartbeats.
        lost_after_s: Seconds without a heartbeat after which a worker counts as lost.
        not_served_min: Minutes after which a row counts as not served if no worker claimed it and
            its room does not exist; 0: never.
    """

    every_s: float = 5.0
    lost_after_s: float = 60.0
    not_served_min: float = 15.0

    @property
    def late_after_s(self) -> float:
        """Seconds without a heartbeat after which it is reported as late."""
        return self.lost_after_s / 3


@dataclass(frozen=True, slots=True)
class Identity:
    """The process that ships.

    Attributes:
        worker_id: The uuid of its outbox directory.
        agent_name: Returns the name that LiveKit dispatches to.
        livekit_id: Returns LiveKit's id of the worker, which changes when it registers again.
    """

    worker_id: UUID
    kind: Literal["worker", "sidecar", "sweep"] = "worker"
    agent_name: Callable[[], str] = str
    livekit_id: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class ShippingState:
    """The current state of shipping, which a heartbeat reports.

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
    """Sends heartbeats and sweeps, in the loop that starts it, over a connection of its own.

    Safe to stop twice, or unstarted. It logs failures and tries again.
    """

    def __init__(
        self,
        dsn: str,
        identity: Identity,
        rhythm: Rhythm | None = None,
        *,
        rooms: Rooms | None = None,
    ) -> None:
        """`rooms` asks LiveKit, see `Sweeper`."""
        self._identity = identity
        self._rhythm = rhythm = rhythm or Rhythm()
        self._workers = Workers(dsn)
        self._sweeper = Sweeper(
            self._workers, identity.worker_id, rooms, not_served_s=rhythm.not_served_min * 60
        )
        self._asks_livekit = rooms is not None
        self._state: Callable[[], ShippingState] = ShippingState
        self._started_at = self._beaten_at = time.monotonic()
        self._beat = _Step(
            rhythm.every_s,
            self.beat,
            "heartbeat late, other workers may count this one as lost",
            at_once=True,
        )
        self._first_sent = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, state: Callable[[], ShippingState] = ShippingState) -> None:
        """Start; `state` is called before each heartbeat."""
        self._state = state
        rhythm, sweeper = self._rhythm, self._sweeper
        text = "lost workers were not checked for, will try again"
        steps = [self._beat, _Step(rhythm.lost_after_s / 4, sweeper.sweep, text)]
        if self._asks_livekit and rhythm.not_served_min > 0:
            every_s = min(UNSERVED_EVERY_S, rhythm.not_served_min * 60)
            text = "calls that no worker serves were not checked for, will try again"
            steps.append(_Step(every_s, sweeper.end_unserved, text))
        if self._asks_livekit:
            text = "people who left after the agent were not checked for, will try again"
            steps.append(_Step(LEGS_EVERY_S, sweeper.end_legs, text))
        self._tasks += [asyncio.create_task(self._repeat(step)) for step in steps]

    async def ensure_first(self) -> None:
        """Write the first heartbeat, before any row with the worker's id is written.

        Raises:
            Transient: The database is away. Any other error is logged and does not block shipping.
        """
        if self._first_sent:
            return
        try:
            await self.beat()
        except Transient:
            raise
        except VoiceError as error:
            self._first_sent = True
            self._log_failure(self._beat, error)

    async def beat(self) -> None:
        """Write one heartbeat. Raises VoiceError."""
        if await self._workers.beat(self._about()):
            logger.warning("this worker was counted as lost, its next events reopen its calls")
        self._first_sent = True
        self._beaten_at = time.monotonic()

    async def stop(self, *, all_shipped: bool) -> None:
        """Stop; if everything is shipped, sign off so that no worker waits for this one."""
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
            extra = {"error": str(error) or "no answer"}
            logger.warning("worker could not sign off and will count as lost", extra=extra)
        finally:
            self._workers.drop()

    async def _repeat(self, step: _Step) -> None:
        waits = not step.at_once
        while True:
            if waits:  # a random part of the pause, so that workers do not synchronize
                await asyncio.sleep(step.every_s * random.uniform(0.8, 1.0))  # noqa: S311
            waits = True
            try:
                await step.run()
            except Transient as error:
                # The shipper reports short outages. All steps share a connection, so one report,
                # the heartbeat's, is enough.
                if step is self._beat and self._late():
                    self._log_failure(step, error)
            except Exception as error:  # noqa: BLE001 - logged, and tried again
                self._log_failure(step, error)

    def _late(self) -> bool:
        return time.monotonic() - self._beaten_at > self._rhythm.late_after_s

    def _log_failure(self, step: _Step, error: Exception) -> None:
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
        state = self._state()
        return {
            "id": self._identity.worker_id,
            "kind": self._identity.kind,
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "version": _version(),
            "agent_name": self._identity.agent_name(),
            "livekit_worker_id": self._identity.livekit_id(),
            "uptime_s": time.monotonic() - self._started_at,
            "lost_after_s": self._rhythm.lost_after_s,
            "backlog_events": state.backlog.events,
            "backlog_bytes": state.backlog.bytes,
            "backlog_seconds": state.backlog.seconds,
            "refused_events": state.refused,
            "adopted": state.adopted,
        }


def _version() -> str | None:
    try:
        return metadata.version("callrecord")
    except metadata.PackageNotFoundError:  # run from its sources
        return None
