"""`python -m db show CALL`."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from callrecord.errors import Stop, VoiceError
from callrecord.operator.cli.output import in_colour, say, width
from callrecord.operator.rendering.as_json import as_json
from callrecord.operator.rendering.plain import plain
from callrecord.operator.rendering.record import record_page
from callrecord.operator.rendering.svg import svg_lines
from callrecord.operator.timeline import timeline_of
from callrecord.reading import CallRecord, find_call, record_of
from callrecord.reading.snapshot import snapshot

NAME = "show"
HELP = "show a call: its timeline, participants, turns and usage"


class NoSuchCall(VoiceError):  # noqa: N818 - not an error of the program
    """There is no call with this name that the login may read."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("call", metavar="CALL", help="the call's id, session_id or room sid")
    parser.add_argument("--json", action="store_true", help="print all rows as one JSON object")
    parser.add_argument(
        "--svg", type=Path, metavar="FILE", help="also draw the timeline to this file"
    )


def run(arguments: Namespace) -> int:
    """Print the call."""
    # The argument may not be valid UTF-8; no call has such a name.
    name = os.fsencode(arguments.call).decode(errors="replace")
    record = asyncio.run(_record(os.environ.get("DATABASE_URL"), name))
    if arguments.svg is not None:
        title = f"call {record.call.session_id}"
        _draw(arguments.svg, svg_lines(timeline_of(record), title=title))
    page = record_page(record, width=width(), colour=in_colour())
    say([as_json(record)] if arguments.json else page)
    return 0


def _draw(path: Path, lines: list[str]) -> None:
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise Stop(f"--svg {path}: {error.strerror}") from error


async def _record(url: str | None, name: str) -> CallRecord:
    async with snapshot(url) as conn:
        call = await find_call(conn, name)
        if call is None:
            raise NoSuchCall(
                f"there is no call that this login may read with this id, session_id "
                f"or room sid: {plain(name)}"
            )
        return await record_of(conn, call)
