"""`python -m db calls`."""

import asyncio
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import get_args
from uuid import UUID

from callrecord.errors import Stop
from callrecord.operator.cli.output import say, width
from callrecord.operator.rendering.as_json import as_json
from callrecord.operator.rendering.calls import active_table, calls_table
from callrecord.operator.rendering.plain import plain
from callrecord.reading import ActiveCall, Call, CallStatus, active_calls, newest_calls
from callrecord.reading.snapshot import snapshot

NAME = "calls"
HELP = "list calls, the newest first"

MOST = 100_000
"""Most calls in one list, which is held in memory."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--user", metavar="ID", help="show only the calls of this user")
    some = parser.add_mutually_exclusive_group()
    some.add_argument(
        "--status", choices=get_args(CallStatus), help="show only the calls with this status"
    )
    some.add_argument(
        "--active",
        action="store_true",
        help="show the calls that are active now, and their participants",
    )
    parser.add_argument(
        "--limit",
        type=_count,
        default=20,
        metavar="N",
        help="maximum number of calls (default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print whole rows as a JSON array")


def run(arguments: Namespace) -> int:
    """Print the list."""
    user_id = None if arguments.user is None else _user_id(arguments.user)
    url = os.environ.get("DATABASE_URL")
    if arguments.active:
        active = asyncio.run(_active(url, user_id, arguments.limit))
        lines = [as_json(active)] if arguments.json else active_table(active, width=width())
        found = len(active)
    else:
        calls = asyncio.run(_newest(url, user_id, arguments.status, arguments.limit))
        lines = [as_json(calls)] if arguments.json else calls_table(calls, width=width())
        found = len(calls)
    say(lines if found or arguments.json else ["no calls"])
    return 0


async def _newest(
    url: str | None, user_id: UUID | None, status: CallStatus | None, limit: int
) -> list[Call]:
    async with snapshot(url) as conn:
        return await newest_calls(conn, user_id=user_id, status=status, limit=limit)


async def _active(url: str | None, user_id: UUID | None, limit: int) -> list[ActiveCall]:
    async with snapshot(url) as conn:
        calls = await active_calls(conn)
    return [call for call in calls if user_id in (None, call.user_id)][:limit]


def _user_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Stop(f"--user must be a user's id, a UUID: {plain(text)}") from error


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if not 1 <= count <= MOST:
        raise ArgumentTypeError(f"must be a number from 1 to {MOST}: {plain(text)}")
    return count
