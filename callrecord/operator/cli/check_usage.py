"""`python -m db check-usage CALL`."""

import asyncio
import os
from argparse import ArgumentParser, Namespace

from callrecord.operator.cli.output import say
from callrecord.operator.cli.show import NoSuchCall
from callrecord.operator.rendering.plain import plain
from callrecord.reading import find_call, ledger_faults
from callrecord.reading.snapshot import snapshot

NAME = "check-usage"
HELP = "check that a call's requests, turns and totals add up"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("call", metavar="CALL", help="the call's id, session_id or room sid")


def run(arguments: Namespace) -> int:
    """Print the figures that do not add up, and the gaps of the ledger.

    Returns:
        1 if figures do not add up, else 0, even if the ledger has gaps.
    """
    name = os.fsencode(arguments.call).decode(errors="replace")
    faults, gaps = asyncio.run(_read(os.environ.get("DATABASE_URL"), name))
    lines = [*(f"wrong: {plain(line)}" for line in faults), *(f"gap: {plain(g)}" for g in gaps)]
    say(lines or ["the ledger adds up and is complete"])
    return 1 if faults else 0


async def _read(url: str | None, name: str) -> tuple[list[str], list[str]]:
    async with snapshot(url) as conn:
        call = await find_call(conn, name)
        if call is None:
            raise NoSuchCall(
                f"there is no call that this login may read with this id, session_id "
                f"or room sid: {plain(name)}"
            )
        gaps = call.usage_gaps or ([] if call.usage_complete else ["not known to be complete"])
        return await ledger_faults(conn, call.id), gaps
