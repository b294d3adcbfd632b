"""How long recovery takes: from a fault's end to the row that tells how the call ended.

It looks at the tables only. While Postgres is away nothing can be told; that time begins anew with
its return.
"""

import asyncio
import time

import asyncpg

from bench.sql import sql

EVERY_S = 0.25


class Watch:
    """Waits for the ends of killed jobs, and for the newest answered turn after an outage.

    Attributes:
        longest_s: By kind of fault: the longest recovery so far, in seconds.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._expected: dict[str, tuple[str, float]] = {}
        self._is_away = False
        self._back_at = 0.0
        self.longest_s: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        """Killed jobs whose calls have no end yet."""
        return len(self._expected)

    def expect_ends(self, kind: str, jobs: list[str]) -> None:
        """The calls of these jobs should have their end soon, from now on."""
        self._expected |= {job: (kind, time.monotonic()) for job in jobs}

    def away(self, *, is_away: bool) -> None:
        """Postgres went, or is back."""
        self._is_away = is_away
        self._back_at = time.monotonic()

    async def settled(self, timeout_s: float) -> None:
        """Wait until every killed call has its end, or the time is up."""
        deadline = time.monotonic() + timeout_s
        while True:
            if not self._expected or time.monotonic() > deadline:
                return
            await asyncio.sleep(EVERY_S)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            if self._expected and not self._is_away:
                try:
                    await self._look()
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                    self._back_at = time.monotonic()  # away, or just going

    async def _look(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=2)
        try:
            rows = await connection.fetch(sql("soak_ends"), list(self._expected), timeout=5)
        finally:
            await connection.close(timeout=2)
        at = time.monotonic()
        for row in rows:
            kind, since = self._expected.pop(row["job_id"])
            name = f"{kind}, after Postgres was away" if self._back_at > since else kind
            took = at - max(since, self._back_at)
            self.longest_s[name] = max(took, self.longest_s.get(name, 0.0))
