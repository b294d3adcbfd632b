"""`python -m db show CALL`."""

import asyncio
import os
from argparse import ArgumentParser, Namespace

from callrecord.db.cli.output import say, width
from callrecord.db.errors import VoiceError
from callrecord.db.reading import CallRecord, find_call, record_of
from callrecord.db.reading.snapshot import snapshot
from callrecord.db.rendering.as_json import as_json
from callrecord.db.rendering.plain import plain
from callrecord.db.rendering.record import record_page

NAME = "show"
HELP = "show a call: its legs, its turns, what it used"


class NoSuchCall(VoiceError):  # noqa: N818 - no fault of the program
    """There is no call of this name, or none that the login may read."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the call and the form."""
    parser.add_argument("call", metavar="CALL", help="the call's id, session_id or room sid")
    parser.add_argument("--json", action="store_true", help="all rows, as a JSON object")


def run(arguments: Namespace) -> int:
    """Print the call."""
    # An argument may hold bytes that are no UTF-8: no call has such a name.
    name = os.fsencode(arguments.call).decode(errors="replace")
    record = asyncio.run(_record(os.environ.get("DATABASE_URL"), name))
    say([as_json(record)] if arguments.json else record_page(record, width=width()))
    return 0


async def _record(url: str | None, name: str) -> CallRecord:
    async with snapshot(url) as conn:
        call = await find_call(conn, name)
        if call is None:
            raise NoSuchCall(
                f"there is no call that this login may read with this id, session_id "
                f"or room sid: {plain(name)}"
            )
        return await record_of(conn, call)
