"""The shipper: one per worker; tails every outbox file, in a thread and loop of its own.

It keeps no record of what it has shipped. After a restart it ships a leftover file again from its
start, and the store ignores the rows that it already has.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from callrecord.errors import Transient, Unusable
from callrecord.outbox.directory import OutboxHome, WorkerDirectory
from callrecord.outbox.disk_reserve import DiskReserve
from callrecord.outbox.job_notes import settle
from callrecord.privacy import private_logger
from callrecord.shipping.backlog import OutboxFiles
from callrecord.shipping.delivery import Delivery, Stats
from callrecord.shipping.heartbeat import Heartbeat, ShippingState

logger = private_logger("voice.shipper")

__all__ = ["Shipper", "ShipperOptions", "Stats"]

SENDING_S = 0.003
"""Seconds to send a batch, after which the next one is read. Reading earlier would delay the
sending, because a batch is larger than the socket's buffer."""


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """Times in seconds.

    Attributes:
        poll_s: Pause between two scans of the files; most of an event's delay until it is a row.
        backoff_max_s: Longest pause while Postgres is away; the first is a tenth of a second.
        adopt_every_s: Pause between two searches for directories of dead workers.
        remind_every_s: Pause between two warnings that Postgres is away.
    """

    poll_s: float = 0.02
    backoff_max_s: float = 5.0
    adopt_every_s: float = 5.0
    remind_every_s: float = 60.0


class Shipper:
    """Ships what this host's jobs write. Any thread may call `start` and `stop`, `stop` even twice.

    Attributes:
        stats: Counters since the start, for logs and health checks.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        home: OutboxHome,
        directory: WorkerDirectory,
        dsn: str,
        *,
        reserve: DiskReserve | None = None,
        heartbeat: Heartbeat | None = None,
        options: ShipperOptions | None = None,
    ) -> None:
        self.stats = Stats()
        self._home = home
        self._reserve = reserve
        self._heartbeat = heartbeat
        self._options = options or ShipperOptions()
        self._files = OutboxFiles([directory])
        self._delivery = Delivery(dsn, self.stats)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._deadline: float | None = None
        self._next_housekeeping = 0.0
        self._next_adoption = 0.0
        self._away_since: float | None = None
        self._next_reminder = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ship what is left, for at most `timeout_s`, and stop the thread.

        Returns:
            Whether everything is in Postgres; the rest stays on the disk for the next worker.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return self.stats.backlog_files == 0
        self._deadline = time.monotonic() + timeout_s
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has already closed
                self._loop.call_soon_threadsafe(self._cancel_at_deadline)
        thread.join()
        done = self.stats.backlog_files == 0
        extra = {
            "all_shipped": done,
            "events": self.stats.events,
            "refused": self.stats.refused,
            "files_left": self.stats.backlog_files,
        }
        logger.info("shipper stopped", extra=extra)
        return done

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # by _cancel_at_deadline
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        if self._deadline is not None:
            self._cancel_at_deadline()
        backoff = 0.0
        housekeeping = asyncio.create_task(self._keep_house_forever())
        shipped = False
        if self._heartbeat is not None:
            self._heartbeat.start(self._state)
        try:
            while True:
                # Only a scan that starts after the stop can show that everything is shipped.
                stopping = self._deadline is not None
                # If `_pause` wakes just as it is cancelled, wait_for of Python 3.11 swallows the
                # cancel.
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    break
                try:
                    busy = await self._turn()
                    if backoff:
                        logger.info("shipping again", extra=self._outage())
                        self._away_since = None
                    backoff = 0.0
                    shipped = stopping and len(self._files) == 0
                    if shipped:
                        break
                except Transient as error:
                    backoff = self._away(error, backoff)
                    busy = False
                except Exception:
                    # The files are safe whatever failed: log it and try again.
                    logger.exception("shipping failed, will try again")
                    backoff, busy = 1.0, False
                if not busy:
                    await self._pause(backoff or self._options.poll_s)
        finally:
            housekeeping.cancel()
            await self._close(all_shipped=shipped)

    async def _close(self, *, all_shipped: bool) -> None:
        try:
            await self._delivery.close()
        finally:  # even if the deadline cancels this
            try:
                if self._heartbeat is not None:
                    await self._heartbeat.stop(all_shipped=all_shipped)
            finally:
                self._files.close()

    async def _turn(self) -> bool:
        """Scan the files once and ship a batch of new events; True if there may be more."""
        self._keep_house()
        self._files.scan()
        self.stats.backlog_files = len(self._files)
        shipments = self._files.gather()
        if shipments:
            if self._heartbeat is not None:
                await self._heartbeat.ensure_first()
            ahead = partial(self._files.read_ahead, shipments)
            asyncio.get_running_loop().call_later(SENDING_S, self._log_errors, ahead)
            await self._delivery.deliver(shipments)
        self._files.finish()
        self.stats.backlog_files = len(self._files)
        return bool(shipments)

    def _state(self) -> ShippingState:
        adopted = tuple(directory.worker_id for directory in self._files.adopted)
        return ShippingState(self._files.backlog(), self.stats.refused, adopted)

    async def _keep_house_forever(self) -> None:
        # Runs beside the turns: while Postgres is away, a turn or its pause takes many seconds,
        # and unshipped events must be synced to the disk meanwhile.
        while True:
            await asyncio.sleep(max(0.0, self._next_housekeeping - time.monotonic()))
            self._log_errors(self._files.scan)
            self._keep_house()

    def _keep_house(self) -> None:
        at = time.monotonic()
        if at >= self._next_housekeeping:
            self._next_housekeeping = at + 1.0
            self._log_errors(self._files.sync)
            if self._reserve is not None:
                self._log_errors(self._reserve.adjust)
        if at >= self._next_adoption:
            self._next_adoption = at + self._options.adopt_every_s
            self._log_errors(self._adopt)

    def _adopt(self) -> None:
        for directory in self._home.adopt():
            self._files.adopt(directory)
            if directory.files() or directory.accepted():
                logger.info("adopted a dead worker's outbox", extra={"outbox": directory.path.name})
        for directory in self._files.adopted:
            settle(directory, alive=set())

    def _log_errors(self, step: Callable[[], None]) -> None:
        # Only shipping frees a full disk, so it must continue when housekeeping fails.
        try:
            step()
        except Exception:
            logger.exception("housekeeping of the outbox failed, will try again")

    def _away(self, error: Transient, backoff: float) -> float:
        self.stats.failures += 1
        at = time.monotonic()
        if self._away_since is None:
            self._away_since = at
        if not backoff or at >= self._next_reminder:
            self._next_reminder = at + self._options.remind_every_s
            extra = {"error": str(error), **self._outage()}
            if isinstance(error, Unusable):
                logger.error("database refuses the worker, events wait on disk", extra=extra)
            else:
                logger.warning("database away, events wait on disk", extra=extra)
        doubled = min(max(backoff * 2, 0.1), self._options.backoff_max_s)
        return doubled * random.uniform(0.75, 1.0)  # noqa: S311 - spreads workers, not a secret

    def _outage(self) -> dict[str, int]:
        since = self._away_since
        away_s = 0 if since is None else round(time.monotonic() - since)
        return {"away_s": away_s, "files": len(self._files)}

    def _cancel_at_deadline(self) -> None:
        # A statement may take longer than a stop may: cancel it when time is up.
        self._wake.set()
        if self._loop is not None and self._task is not None and self._deadline is not None:
            left = self._deadline - time.monotonic()
            self._loop.call_later(max(0.0, left), self._task.cancel)

    async def _pause(self, seconds: float) -> None:
        if self._deadline is not None:
            seconds = min(seconds, 0.1)
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return
        self._wake.clear()
