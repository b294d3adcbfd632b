"""`python -m bench.soak`: calls in real rooms under random kills, then the count of what is there.

Callers call in a loop and keep a ledger of what they typed and heard. Jobs, workers and Postgres
are killed at random meanwhile. At the end the ledger is compared with the tables, and so is every
event that an outbox file ever held. Exit code 1 if anything is lost, doubled or told wrongly.
"""

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench import report
from bench.soak.callers import Callers
from bench.soak.compare import Verdict, compare
from bench.soak.copies import Copies, Recorded
from bench.soak.havoc import Havoc
from bench.soak.ledger import Ledger
from bench.soak.watch import Watch
from bench.soak.workers import AGENT_NAME, SoakWorker
from callrecord.schema.migrate import migrate
from local.caller import Server, Voice
from local.caller.sound import Sound
from local.errors import StartError
from local.places import run_directory
from local.stack import Parts, Stack, running_parts

PROGRESS_S = 10.0
CALM_S = 10.0
"""Without faults, before the calls come to their end."""
SHIP_S = 90.0
LAST_CALLS_S = 120.0
ENDS_S = 5.0
SPOKEN = "What is your name, please?"
SCRIPT = {
    "tts": "tone",
    "stt": ["what is your name please"] * 20_000,
    "rules": [
        {
            "match": "goodbye",
            "reply": None,
            "tool_call": {"name": "end_call", "arguments": {}},
            "after_tool": "Goodbye, and take care.",
        }
    ],
    "default": {"reply": "All right, I have written that down for you and will keep it."},
}


async def soak(args: Any) -> bool:
    """Run it; return whether nothing was lost."""
    seed = args.seed if args.seed is not None else secrets.randbelow(2**32)
    print(f"seed {seed}: {args.minutes:g} minutes, {args.callers} callers, {args.workers} workers")
    begun = report.conditions()
    ledger = Ledger(args.ledger.resolve())
    ledger.path.parent.mkdir(parents=True, exist_ok=True)
    ledger.path.unlink(missing_ok=True)
    with run_directory() as directory:
        async with running_parts(script=_speaking_script(directory)) as parts:
            await migrate(parts.stack.database_url)
            sound = await _recorded_sound(parts.stack)
            workers = [
                SoakWorker(parts.stack, directory / f"worker-{number}", max_calls=args.callers + 2)
                for number in range(args.workers)
            ]
            copies = Copies(directory / "copies", [worker.outbox for worker in workers])
            watch = Watch(parts.stack.database_url)
            async with _beside(copies.run(), watch.run()):
                try:
                    await asyncio.gather(*(worker.start() for worker in workers))
                    chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
                    await _calls(args, parts, workers, ledger, watch, sound, chance)
                    left = await _shipped(workers)
                    await watch.settled(ENDS_S)
                    codes = [await worker.stop() for worker in workers]
                finally:
                    await asyncio.gather(*(worker.stop() for worker in workers))
                    if args.keep_logs is not None:
                        _keep_logs(directory, args.keep_logs)
            copies.link()
            recorded = await asyncio.to_thread(copies.recorded)
            verdict = await compare(parts.stack.database_url, ledger, recorded)
    if left or any(codes):
        verdict.wrong.append(f"{left} outbox files left, exit codes {codes}")
    _tell(args, seed, ledger, watch, recorded, verdict, begun)
    return verdict.good


async def _calls(  # noqa: PLR0913, PLR0917 - all parts of a soak meet here
    args: Any,
    parts: Parts,
    workers: list[SoakWorker],
    ledger: Ledger,
    watch: Watch,
    sound: Sound,
    chance: random.Random,
) -> None:
    if parts.postgres is None:
        raise StartError("unset DATABASE_URL: the soak kills its own Postgres")
    stack = parts.stack
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=AGENT_NAME)
    callers = Callers(server, ledger, sound, random.Random(chance.random()))  # noqa: S311
    havoc = Havoc(ledger, workers, parts.postgres, watch, random.Random(chance.random()))  # noqa: S311
    end = time.monotonic() + args.minutes * 60
    async with _beside(_progress(ledger, callers, workers, watch)):
        calling = asyncio.create_task(callers.run(args.callers))
        try:
            await havoc.run(end - CALM_S)
            await asyncio.wait([calling], timeout=max(0.0, end - time.monotonic()))
            callers.stop()
            await asyncio.wait_for(calling, LAST_CALLS_S)
        finally:
            calling.cancel()


async def _progress(
    ledger: Ledger, callers: Callers, workers: list[SoakWorker], watch: Watch
) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_S)
        typed = sum(len(call.typed) for call in ledger.calls)
        answered = sum(len(call.answered) + call.spoken for call in ledger.calls)
        waiting = sum(len(worker.files()) for worker in workers)
        print(
            f"{time.monotonic() - begun:5.0f} s: {len(ledger.calls)} calls ({callers.live} live), "
            f"{typed} turns typed, {answered} answered, {sum(ledger.faults.values())} faults, "
            f"{waiting} outbox files, {watch.waiting} killed calls without an end",
            flush=True,
        )


async def _shipped(workers: list[SoakWorker]) -> int:
    """Wait until all outboxes are empty; return how many files are left."""
    deadline = time.monotonic() + SHIP_S
    while True:
        left = sum(len(worker.files()) for worker in workers)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.2)


@asynccontextmanager
async def _beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            if not task.done():
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _speaking_script(directory: Path) -> Path:
    path = directory / "script.json"
    path.write_text(json.dumps({key: SCRIPT[key] for key in ("rules", "default")}))
    return path


async def _recorded_sound(stack: Stack) -> Sound:
    """Have real speech made once, then put models in its place that cost next to nothing."""
    async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice:
        sound = await voice.speak(SPOKEN)
    url = stack.openai_base_url.removesuffix("/v1") + "/script"
    async with aiohttp.ClientSession() as client, client.post(url, json=SCRIPT) as answer:
        answer.raise_for_status()
    return sound


def _keep_logs(directory: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in directory.glob("*/worker.log"):
        (target / f"{log.parent.name}.log").write_bytes(log.read_bytes())


def _tell(  # noqa: PLR0913, PLR0917 - the summary tells of everything
    args: Any,
    seed: int,
    ledger: Ledger,
    watch: Watch,
    recorded: Recorded,
    verdict: Verdict,
    begun: dict[str, str],
) -> None:
    for kind in ("lost", "doubled", "wrong"):
        for line in getattr(verdict, kind):
            print(f"{kind}: {line}")
    result = {
        "seed": seed,
        "minutes": args.minutes,
        "calls": len(ledger.calls),
        "calls that an agent answered": sum(bool(call.jobs) for call in ledger.calls),
        "turns typed": sum(len(call.typed) for call in ledger.calls),
        "turns answered": sum(len(call.answered) + call.spoken for call in ledger.calls),
        **ledger.faults,
        "jobs that died of them": len(ledger.killed),
        "events recorded": recorded.events,
        "bytes recorded": recorded.size,
        "unfinished lines": recorded.damaged,
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "refused": verdict.refused,
        "wrong ends": len(verdict.wrong),
        **{f"longest recovery (s), {kind}": took for kind, took in watch.longest_s.items()},
        "latest end given to a killed call (s after)": verdict.latest_end_s,
    }
    report.show("soak", [{"what": key, "figure": value} for key, value in result.items()])
    report.finish(args.out, "soak", result, begun)


def main() -> int:
    """Parse the arguments and run."""
    parser: argparse.ArgumentParser = report.parser("Calls under random kills; nothing is lost.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--callers", type=int, default=4, help="calls at once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=None, help="of the faults and the callers")
    parser.add_argument("--ledger", type=Path, default=Path(".cache/soak-ledger.jsonl"))
    parser.add_argument("--keep-logs", type=Path, default=None, metavar="DIRECTORY")
    return 0 if asyncio.run(soak(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
