"""`python -m db replay DIR`: ship an outbox directory that was rescued from another host."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from callrecord.postgres.database_url import checked_url
from callrecord.postgres.store import check_schema
from callrecord.shipping.replay import Replayed, Rescued, find, replay

NAME = "replay"
HELP = "ship an outbox directory that was rescued from another host"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "place",
        type=Path,
        metavar="DIR",
        help="a whole outbox, one worker's subdirectory, or one .events file",
    )
    parser.add_argument(
        "--remove",
        action="store_true",
        help="remove each file once it is shipped completely (default: change nothing in DIR)",
    )


def run(arguments: Namespace) -> int:
    """Ship and print a line for each file; return 1 if something is left."""
    dsn = checked_url(os.environ.get("DATABASE_URL"))
    return asyncio.run(_run(find(arguments.place), dsn, remove=arguments.remove))


async def _run(rescued: Rescued, dsn: str, *, remove: bool) -> int:
    await check_schema(dsn)
    left = 0
    async for result in replay(rescued, dsn, remove=remove):
        print(f"{ascii(result.path.name)[1:-1]}: {_outcome(result)}", flush=True)
        left += bool(result.left)
    for path in rescued.refused:
        print(f"{ascii(path.name)[1:-1]}: refused earlier, see `refused list --outbox DIR`")
    done = len(rescued.files) + len(rescued.notes) - left
    print(f"{done} shipped, {left + len(rescued.refused)} left")
    return 1 if left or rescued.refused else 0


def _outcome(result: Replayed) -> str:
    if result.left:
        return f"left: {result.left}"
    if result.deleted:
        return "discarded, its owner has deleted the call"
    rows = f"{result.stored} rows stored, {result.there} already there, {result.refused} refused"
    return f"call {result.call_id or '-'} {result.state}: {rows}"
