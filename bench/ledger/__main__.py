"""`python -m bench.ledger`: whole calls, and the ledger beside the bill of the models' server.

Callers ask, interrupt a long answer, hesitate in mid-sentence and want something looked up. Exit
code 1 if a request is missing, counted twice, or told otherwise than it was billed.
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from bench import report
from bench.ledger import callers, compare
from bench.ledger.compare import beside, of_bill, of_ledger
from bench.sql import sql
from bench.workers import worker
from callrecord.schema.migrate import migrate
from local.caller import Server, Voice
from local.places import run_directory
from local.stack import Stack, running

SETTINGS = {
    "AGENT_NAME": "ledger",
    # Long enough for a turn that goes on to overtake the answer that was begun ahead of its end.
    "AGENT_ENDPOINTING_MIN_DELAY": "1.5",
    "AGENT_ENDPOINTING_MAX_DELAY": "3",
}
RENDERED_S = 4.0
"""Without a new line on the bill."""


async def run(args: Any) -> bool:
    """Hold the calls; return whether ledger and bill agree."""
    begun = report.conditions()
    told = callers.Told()
    with run_directory() as directory:
        async with running() as stack:
            await migrate(stack.database_url)
            async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice:
                sounds = await callers.prepare(voice)
            await _post(stack, callers.SCRIPT | {"faults": args.fault})
            async with worker("bench.ledger.worker", stack, directory, SETTINGS):
                before = await _rendered(stack)
                await _calls(args, stack, sounds, told)
            lines = [line for line in await _bill(stack) if line["id"] not in before]
            return await _tell(args, stack, lines, told, begun)


async def _calls(args: Any, stack: Stack, sounds: dict[str, Any], told: callers.Told) -> None:
    server = Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name="ledger")
    chance = random.Random(args.seed)  # noqa: S311 - repeatable, and no secret
    limit = asyncio.Semaphore(args.at_once)

    async def one(number: int) -> None:
        async with limit:
            await callers.call(server, sounds, chance, told)
            print(f"call {number + 1} of {args.calls}: {told.turns}", flush=True)

    await asyncio.gather(*(one(number) for number in range(args.calls)))


async def _tell(
    args: Any,
    stack: Stack,
    lines: list[dict[str, Any]],
    told: callers.Told,
    begun: dict[str, str],
) -> bool:
    connection = await asyncpg.connect(stack.database_url)
    try:
        rows = beside(of_bill(lines), await of_ledger(connection))
        exact = await compare.told(connection, lines)
        ends = dict(await connection.fetchrow(sql("usage_kinds_of_end")) or {})
        wrong = dict(await connection.fetchrow(sql("usage_wrong_sums")) or {})
        gaps = [dict(row) for row in await connection.fetch(sql("usage_gaps"))]
    finally:
        await connection.close()
    for trouble in told.troubles:
        print(f"trouble: {trouble}")
    report.show("ledger and bill", rows)
    report.show("told by the provider", [exact])
    counted = {"turns answered": sum(told.turns.values()), **ends}
    report.show("requests", [{"what": name, "n": count} for name, count in counted.items()])
    report.show("sums", [{"wrong or noted": name, "n": count} for name, count in wrong.items()])
    for gap in gaps:
        print(f"gap in {gap['calls']} calls: {gap['gap']}")
    if args.draw is not None:
        await _draw(stack, told.rooms[-1], args.draw)
    report.finish(
        args.out, "ledger", {"rows": rows, "told": exact, "ends": ends, "sums": wrong}, begun
    )
    same = not exact["tokens that differ from the bill"] and all(
        row["ledger - bill"] == 0
        for row in rows
        # Speech may be cut before it was sent: the ledger has it, marked, and the bill has not.
        if row["unit"] == "requests" and row["kind"] != "tts"
    )
    return same and not wrong["messages"] and not wrong["calls"] and not told.troubles


async def _draw(stack: Stack, room: str, picture: Path) -> None:
    """Show the last call as an operator sees it, and draw it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "db", "show", room, "--svg", str(picture)),
        env=os.environ | {"DATABASE_URL": stack.database_url},
    )
    await process.wait()


async def _bill(stack: Stack) -> list[dict[str, Any]]:
    url = stack.openai_base_url.removesuffix("/v1") + "/bill"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return list((await answer.json())["requests"])


async def _rendered(stack: Stack) -> set[str]:
    """Wait until the fixed phrases are rendered, for no call; return what is billed so far."""
    lines, since = await _bill(stack), time.monotonic()
    while time.monotonic() - since < RENDERED_S:
        await asyncio.sleep(0.2)
        newer = await _bill(stack)
        if len(newer) != len(lines):
            lines, since = newer, time.monotonic()
    return {line["id"] for line in lines}


async def _post(stack: Stack, script: dict[str, Any]) -> None:
    url = stack.openai_base_url.removesuffix("/v1") + "/script"
    async with aiohttp.ClientSession() as client, client.post(url, json=script) as answer:
        answer.raise_for_status()


def main() -> int:
    """Parse the arguments and run."""
    parser = report.parser("The usage ledger against the bill of the models' own server.")
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=2, help="calls at once")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the turns")
    parser.add_argument(
        "--fault",
        action="append",
        type=json.loads,
        default=[],
        help="what the models do wrong, as JSON of local.ai.faults; again for more",
    )
    parser.add_argument("--draw", type=Path, metavar="SVG", help="show the last call and draw it")
    return 0 if asyncio.run(run(parser.parse_args())) else 1


if __name__ == "__main__":
    sys.exit(main())
