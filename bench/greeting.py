"""`python -m bench.greeting`: from dispatch to the first greeting audio at the caller.

Our worker and a stock one wait side by side, and take calls in turn. The time runs from the
request that makes the room, with the dispatch in it, to the first loud frame the caller hears.
"""

import asyncio
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from bench import report
from bench.workers import worker
from callrecord.schema.migrate import migrate
from local.caller import Caller, CallerError, Server
from local.places import run_directory
from local.stack import Stack, running

PAUSE_S = 4.0
"""Between two calls: the worker that had the last one makes a new process ready meanwhile."""
NAMES = {"ours": "agent", "stock": "bench.stock_worker"}


async def greeted(server: Server) -> float:
    """Place a call; return seconds from the dispatch to the first audio."""
    room = f"bench-{uuid4().hex[:12]}"
    async with Caller(server, room=room, keep_audio=False) as caller:
        dispatched = time.monotonic()
        await caller.join()
        heard = await caller.first_audio(dispatched)
        await caller.agent_quiet()
    await server.delete_room(room)
    return heard


async def measure(stack: Stack, directory: Path, calls: int) -> list[report.Row]:
    """Call both workers in turn; seconds."""
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret)
    took: dict[str, list[float]] = {name: [] for name in NAMES}
    async with (
        worker(NAMES["ours"], stack, directory, {"AGENT_NAME": "ours"}) as ours,
        worker(NAMES["stock"], stack, directory, {"AGENT_NAME": "stock"}) as stock,
    ):
        processes = {"ours": ours, "stock": stock}
        for number in range(calls + 1):
            for name in NAMES:
                await asyncio.sleep(PAUSE_S)
                try:
                    seconds = await greeted(replace(server, agent_name=name))
                except CallerError as error:
                    raise processes[name].failure(f"{error}; the end of its log:") from error
                if number > 0:  # the first one of each warms files and servers up
                    took[name].append(seconds)
    base = statistics.median(took["stock"])
    return [
        {
            "worker": name,
            "n": len(values),
            "median": statistics.median(values),
            "fastest": min(values),
            "slowest": max(values),
            "x stock": statistics.median(values) / base,
        }
        for name, values in took.items()
    ]


async def run(args: Any) -> None:
    """Measure, print and write."""
    begun = report.conditions()
    with run_directory() as directory:
        script = None
        if args.instant:
            script = directory / "script.json"
            script.write_text(json.dumps({"tts": "tone", "stt": ["hello"]}), encoding="utf-8")
        async with running(script=script) as stack:
            await migrate(stack.database_url)
            rows = await measure(stack, directory, args.calls)
    speech = "an instant tone" if args.instant else "a real one, Piper on this machine"
    report.show(f"dispatch -> first greeting audio (s), speech model: {speech}", rows)
    report.finish(args.out, "greeting", {"speech": speech, "seconds": rows}, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("Seconds from dispatch to the first greeting audio, beside stock.")
    parser.add_argument("--calls", type=int, default=10, help="for each worker")
    parser.add_argument("--instant", action="store_true", help="a tone in place of speech")
    asyncio.run(run(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
