"""`python -m db status`."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

import msgspec

from callrecord.operator.cli.output import say, width
from callrecord.operator.rendering.as_json import as_json
from callrecord.operator.rendering.status import outbox_page, status_page
from callrecord.operator.worker_status import Status, read_status
from callrecord.outbox.status import outbox_status
from callrecord.reading.snapshot import snapshot

NAME = "status"
HELP = (
    "show workers, backlog, refused events and open calls; exit code 1: something needs attention"
)


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--outbox",
        type=Path,
        metavar="DIR",
        help="show what waits in this outbox directory; needs no database",
    )


def run(arguments: Namespace) -> int:
    """Print the status; return 0 if all is well, 1 if something needs attention."""
    if arguments.outbox is not None:
        return _outbox(arguments.outbox, in_json=arguments.json)
    status = asyncio.run(_read(os.environ.get("DATABASE_URL")))
    troubles = status.troubles()
    if arguments.json:
        values = msgspec.to_builtins(status)
        for row, worker in zip(values["workers"], status.workers, strict=True):
            row["state"] = worker.state
        say([as_json({**values, "troubles": troubles})])
    else:
        say(status_page(status, width=width()))
    return 1 if troubles else 0


async def _read(url: str | None) -> Status:
    async with snapshot(url) as conn:
        return await read_status(conn)


def _outbox(directory: Path, *, in_json: bool) -> int:
    found = outbox_status(directory)
    if in_json:
        say([as_json({"directories": found, "quiet": sum(each.quiet for each in found)})])
    else:
        say(outbox_page(found, width=width()))
    return 1 if any(each.quiet or each.refused for each in found) else 0
