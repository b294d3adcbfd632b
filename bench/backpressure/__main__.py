"""`python -m bench.backpressure`: Postgres away for an hour at 50 calls, then back.

The hour's events are written in a minute by a process of its own; `python -m callrecord ship` is
the shipper, whose memory is watched from outside. Live calls go on at the true rate. Then Postgres
comes back: how many times real time the backlog is shipped at, and how long the live calls' turns
wait meanwhile, beside how long they wait without a backlog.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench import report
from bench.backpressure.backlog import CALL_MINUTES
from bench.backpressure.calls import EVENTS_IN_AN_EXCHANGE, EXCHANGES_A_MINUTE
from bench.backpressure.watch import Latency, live_calls, memory, watching
from bench.database import server_conditions
from callrecord.schema.migrate import migrate
from local.errors import SettingsError
from local.places import PROJECT, run_directory
from local.postgres import LocalPostgres
from local.procs import Child

QUIET_S = 15.0
PATIENCE_S = 600.0


@asynccontextmanager
async def _shipper(directory: Path, url: str) -> AsyncIterator[tuple[Child, Path]]:
    """Run a shipper on an outbox; yields it and its own subdirectory."""
    outbox = directory / "outbox"
    env = {"DATABASE_URL": url, "AGENT_OUTBOX_DIR": str(outbox), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "callrecord", "ship"]
    child = Child("shipper", command, directory / "ship.log", {**os.environ, **env}, directory)
    child.grace_s = 60.0
    await child.start()
    try:
        deadline = time.monotonic() + 30
        while not (found := list(outbox.glob("*/worker.lock"))):
            if not child.running or time.monotonic() > deadline:
                raise child.failure("not started; its log:")
            await asyncio.sleep(0.05)
        yield child, found[0].parent
    finally:
        await child.stop()


async def _write_backlog(own: Path, args: Any) -> tuple[int, int]:
    """Write the absence's events; return how many events and bytes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.backpressure.backlog", str(own)),
        *map(str, (args.calls, args.minutes, args.seconds)),
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    events, size = map(int, told.split())
    return events, size


async def _gone(files: set[Path]) -> float:
    """Wait until these files are shipped; return the seconds.

    Raises:
        TimeoutError: Some are still there after a long time.
    """
    began = time.monotonic()
    while left := {path for path in files if path.exists()}:
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"{len(left)} files left")
        files = left
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def measure(postgres: LocalPostgres, directory: Path, args: Any) -> dict[str, Any]:
    """Do all of it; return the figures."""
    rss: list[float] = []
    async with (
        _shipper(directory, postgres.url) as (shipper, own),
        live_calls(own, args.calls) as latency,
    ):
        await asyncio.sleep(3)  # warm
        async with watching(postgres.url, latency):
            latency.begin()
            await asyncio.sleep(QUIET_S)
        alone = (latency.all, latency.first)
        await postgres.stop()
        if shipper.pid is None:
            raise shipper.failure("gone")
        watch = asyncio.create_task(memory(shipper.pid, rss))
        events, size = await _write_backlog(own, args)
        away_rss = len(rss)
        files = set(own.glob("*.events"))
        await postgres.start()
        took, waited = await _caught_up(postgres, latency, files)
        beside = (latency.all, latency.first)
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    call_minutes = args.calls * args.minutes
    return {
        "alone": alone,
        "beside": beside,
        "not visible at the end": len(latency.waiting),
        "backlog": {
            "events": events,
            "files": len(files),
            "MB on disk": size / 1e6,
            "bytes a call-minute": size / call_minutes,
            "bytes an event": size / events,
            "caught up in (s)": took,
            "x real time": args.minutes * 60 / took,
            "events/s": events / (took - waited),
            "first try after (s)": waited,
        },
        "memory": {
            "first tenth, away (MB)": statistics.median(rss[: max(1, away_rss // 10)]),
            "last tenth, away (MB)": statistics.median(rss[away_rss - max(1, away_rss // 10) :]),
            "most, catching up (MB)": max(rss[away_rss:], default=rss[-1]),
        },
    }


async def _caught_up(
    postgres: LocalPostgres, latency: Latency, files: set[Path]
) -> tuple[float, float]:
    """Return the seconds until the backlog was shipped, and until the first live turn was."""
    began = time.monotonic()
    async with watching(postgres.url, latency):
        latency.begin()
        gone = asyncio.create_task(_gone(files))
        await latency.any.wait()  # the shipper's back-off is up to 5 s: that is no starving
        waited = time.monotonic() - began
        latency.begin()
        took = await gone
        counted = dict(latency.waiting)
        deadline = time.monotonic() + 5
        while True:
            if not counted.keys() & latency.waiting.keys() or time.monotonic() > deadline:
                return took, waited
            await asyncio.sleep(0.05)


async def run(args: Any) -> None:
    """Measure, print and write."""
    if os.environ.get("DATABASE_URL"):
        raise SettingsError("unset DATABASE_URL: this benchmark stops its own Postgres")
    begun = report.conditions()
    with run_directory() as directory:
        postgres = LocalPostgres(directory / "postgres")
        await postgres.start()
        try:
            await migrate(postgres.url)
            begun |= await server_conditions(postgres.url)
            result = await measure(postgres, directory, args)
        finally:
            await postgres.stop()
    pace = EXCHANGES_A_MINUTE * EVENTS_IN_AN_EXCHANGE
    report.show(
        f"Postgres away for {args.minutes} minutes, {args.calls} calls at once of {CALL_MINUTES} "
        f"minutes, {pace} events a minute each",
        [result["backlog"]],
    )
    report.show("resident memory of the shipper", [result["memory"]])
    rows = [
        {"a live turn, append -> visible (ms)": name, **report.spread(values)}
        for name, values in (
            ("without a backlog", result["alone"][0]),
            ("while the backlog ships", result["beside"][0]),
            ("first of a call, without", result["alone"][1]),
            ("first of a call, while it ships", result["beside"][1]),
        )
    ]
    report.show(f"{args.calls} live calls; at the end {result['not visible at the end']}", rows)
    figures = {"backlog": result["backlog"], "memory": result["memory"], "live": rows}
    report.finish(args.out, "backpressure", figures, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("An hour without Postgres: memory, disk, catching up, live calls.")
    parser.add_argument("--calls", type=int, default=50, help="at once")
    parser.add_argument("--minutes", type=int, default=60, help="that Postgres is away for")
    parser.add_argument("--seconds", type=int, default=60, help="that they are written in")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
