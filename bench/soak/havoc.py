"""Random faults: SIGKILL of jobs, of workers, of Postgres, and Postgres away for a while."""

import asyncio
import contextlib
import random
import time
from typing import Final

import psutil

from bench.soak.ledger import Ledger
from bench.soak.watch import Watch
from bench.soak.workers import SoakWorker
from local.postgres import LocalPostgres

PAUSE_S: Final = (3.0, 9.0)
AWAY_S: Final = (5.0, 20.0)
FAULTS: Final = {
    "job killed": 45,
    "worker killed alone": 10,
    "worker and jobs killed": 15,
    "Postgres restarted": 10,
    "Postgres killed": 10,
    "Postgres away": 10,
}


class Havoc:
    """Makes faults until it is told to stop; a worker and Postgres may be away at once."""

    def __init__(
        self,
        ledger: Ledger,
        workers: list[SoakWorker],
        postgres: LocalPostgres,
        watch: Watch,
        chance: random.Random,
    ) -> None:
        self._ledger = ledger
        self._workers = workers
        self._postgres = postgres
        self._watch = watch
        self._chance = chance
        self._database = asyncio.Lock()

    async def run(self, until: float) -> None:
        """Make faults until then (monotonic), and return once all that was killed is back."""
        async with asyncio.TaskGroup() as group:
            while (left := until - time.monotonic()) > 0:
                await asyncio.sleep(min(left, self._chance.uniform(*PAUSE_S)))
                kind = self._chance.choices(list(FAULTS), list(FAULTS.values()))[0]
                worker = self._chance.choice(self._workers)
                if kind == "job killed":
                    self._kill_job()
                elif kind.startswith("worker"):
                    if not worker.busy.locked():
                        alone = kind.endswith("alone")
                        group.create_task(self._kill_worker(worker, kind, with_jobs=not alone))
                elif not self._database.locked():
                    group.create_task(self._disturb_postgres(kind))

    def _kill_job(self) -> None:
        jobs: dict[str, psutil.Process] = {}
        for worker in self._workers:
            jobs |= {} if worker.busy.locked() else worker.jobs()
        if not jobs:
            return
        job_id = self._chance.choice(sorted(jobs))
        self._ledger.fault("job killed", [job_id])
        with contextlib.suppress(psutil.NoSuchProcess):
            jobs[job_id].kill()
        self._watch.expect_ends("job", [job_id])

    async def _kill_worker(self, worker: SoakWorker, kind: str, *, with_jobs: bool) -> None:
        async with worker.busy:
            jobs = sorted(worker.jobs())
            self._ledger.fault(kind, jobs)
            await worker.kill(with_jobs=with_jobs)
            await asyncio.sleep(self._chance.uniform(0, 3))
            await worker.start()
            self._ledger.note("worker back")
            self._watch.expect_ends("worker", jobs)

    async def _disturb_postgres(self, kind: str) -> None:
        async with self._database:
            self._ledger.fault(kind, [])
            self._watch.away(is_away=True)
            if kind == "Postgres restarted":
                await self._postgres.restart()
            else:
                if kind == "Postgres killed":
                    await self._postgres.kill()
                else:
                    await self._postgres.stop()
                    await asyncio.sleep(self._chance.uniform(*AWAY_S))
                await self._postgres.start()
            self._ledger.note("Postgres back")
            self._watch.away(is_away=False)
