"""The shipper: one per worker, in a thread and loop of its own, tails every outbox file.

It stores nothing about what it has shipped: after a restart a leftover file is shipped again from
its start, and the store finds nothing new in it.
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
from callrecord.shipping.backlog import Tails
from callrecord.shipping.delivery import Delivery, Stats
from callrecord.shipping.heartbeat import Heartbeat, Told

logger = private_logger("voice.shipper")

__all__ = ["Shipper", "ShipperOptions", "Stats"]

SENDING_S = 0.003
"""Seconds to send a batch, after which the next one is read. Reading at once would delay the
sending, since a batch is larger than the socket's buffer."""


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """Times in seconds.

    Attributes:
        poll_s: Pause between two looks at the files: most of the way from event to row.
        backoff_max_s: Longest pause while Postgres is away; begins at a tenth of a second.
        adopt_every_s: How often directories of workers that died are looked for.
        remind_every_s: How often it is said again that Postgres is away.
    """

    poll_s: float = 0.02
    backoff_max_s: float = 5.0
    adopt_every_s: float = 5.0
    remind_every_s: float = 60.0


class Shipper:
    """Ships what the jobs of this host wrote. `start` and `stop` from any thread, stop twice too.

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
        self._tails = Tails([directory])
        self._delivery = Delivery(dsn, self.stats)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._deadline: float | None = None
        self._next_tend = 0.0
        self._next_adoption = 0.0
        self._away_since: float | None = None
        self._next_reminder = 0.0

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Ship what is left, for at most `timeout_s`, and end the thread.

        Returns:
            Whether everything is in Postgres; what is not stays on the disk for the next worker.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return self.stats.backlog_files == 0
        self._deadline = time.monotonic() + timeout_s
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before us
                self._loop.call_soon_threadsafe(self._limit)
        thread.join()
        done = self.stats.backlog_files == 0
        told = {
            "all_shipped": done,
            "events": self.stats.events,
            "refused": self.stats.refused,
            "files_left": self.stats.backlog_files,
        }
        logger.info("shipper stopped", extra=told)
        return done

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # by _limit, when time is up
            asyncio.run(self._main())

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        if self._deadline is not None:
            self._limit()
        backoff = 0.0
        tending = asyncio.create_task(self._tend_forever())
        shipped = False
        if self._heartbeat is not None:
            self._heartbeat.start(self._told)
        try:
            while True:
                # Only a look at the files that began after the stop can tell that all is shipped.
                stopping = self._deadline is not None
                # A cancel that meets the wake in `_pause` is swallowed by wait_for (Python 3.11).
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    break
                try:
                    busy = await self._turn()
                    if backoff:
                        logger.info("shipping again", extra=self._waiting())
                        self._away_since = None
                    backoff = 0.0
                    shipped = stopping and len(self._tails) == 0
                    if shipped:
                        break
                except Transient as error:
                    backoff = self._away(error, backoff)
                    busy = False
                except Exception:
                    # Whatever it is, the files are still there: say so, and go on trying.
                    logger.exception("shipper turn failed, will try again")
                    backoff, busy = 1.0, False
                if not busy:
                    await self._pause(backoff or self._options.poll_s)
        finally:
            tending.cancel()
            await self._close(all_shipped=shipped)

    async def _close(self, *, all_shipped: bool) -> None:
        try:
            await self._delivery.close()
        finally:  # time may be up just now: the rest is done all the same
            try:
                if self._heartbeat is not None:
                    await self._heartbeat.stop(all_shipped=all_shipped)
            finally:
                self._tails.close()

    async def _turn(self) -> bool:
        """Look at the files once and ship a batch of what is new; True if there may be more."""
        self._tend()
        self._tails.scan()
        self.stats.backlog_files = len(self._tails)
        portions = self._tails.gather()
        if portions:
            if self._heartbeat is not None:
                await self._heartbeat.begin()
            ahead = partial(self._tails.read_ahead, portions)
            asyncio.get_running_loop().call_later(SENDING_S, self._despite_disk, ahead)
            await self._delivery.deliver(portions)
        self._tails.finish()
        self.stats.backlog_files = len(self._tails)
        return bool(portions)

    def _told(self) -> Told:
        adopted = tuple(directory.worker_id for directory in self._tails.adopted)
        return Told(self._tails.backlog(), self.stats.refused, adopted)

    async def _tend_forever(self) -> None:
        # Beside the turns: while Postgres is away one of them, or its pause, takes many seconds,
        # and just then what was not shipped has to get to the disk.
        while True:
            await asyncio.sleep(max(0.0, self._next_tend - time.monotonic()))
            self._despite_disk(self._tails.scan)
            self._tend()

    def _tend(self) -> None:
        at = time.monotonic()
        if at >= self._next_tend:
            self._next_tend = at + 1.0
            self._despite_disk(self._tails.sync)
            if self._reserve is not None:
                self._despite_disk(self._reserve.adjust)
        if at >= self._next_adoption:
            self._next_adoption = at + self._options.adopt_every_s
            self._despite_disk(self._adopt)

    def _adopt(self) -> None:
        for directory in self._home.adopt():
            self._tails.adopt(directory)
            if directory.files() or directory.accepted():
                logger.info("adopted a dead worker's outbox", extra={"outbox": directory.path.name})
        for directory in self._tails.adopted:
            settle(directory, alive=set())

    def _despite_disk(self, step: Callable[[], None]) -> None:
        # Shipping is what frees a full disk: it must go on when housekeeping fails.
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
            told = {"error": str(error), **self._waiting()}
            if isinstance(error, Unusable):
                logger.error("database refuses the worker, events wait on disk", extra=told)
            else:
                logger.warning("database away, events wait on disk", extra=told)
        doubled = min(max(backoff * 2, 0.1), self._options.backoff_max_s)
        return doubled * random.uniform(0.75, 1.0)  # noqa: S311 - spreads workers, not a secret

    def _waiting(self) -> dict[str, int]:
        since = self._away_since
        away_s = 0 if since is None else round(time.monotonic() - since)
        return {"away_s": away_s, "files": len(self._tails)}

    def _limit(self) -> None:
        # A statement may wait far longer than a stop: when time is up it is broken off.
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
