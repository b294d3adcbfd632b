"""`python -m db migrate`."""

import asyncio
import os
from argparse import ArgumentParser, Namespace

from callrecord.db.migrate import migrate

NAME = "migrate"
HELP = "bring the database of DATABASE_URL to the newest schema"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare how long to wait for Postgres."""
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for a Postgres that does not answer yet, and for whoever holds a "
        "lock (default: 30)",
    )
    rules = parser.add_mutually_exclusive_group()
    rules.add_argument(
        "--mend",
        action="store_true",
        help="take out policies and rights of others that let people at calls or users.role",
    )
    rules.add_argument("--as-is", action="store_true", help="leave them; they are listed")


def run(arguments: Namespace) -> int:
    """Apply what is missing and say what was applied."""
    done = asyncio.run(
        migrate(
            os.environ.get("DATABASE_URL"),
            patience_s=arguments.wait,
            mend=arguments.mend,
            as_is=arguments.as_is,
        )
    )
    for name in done.applied:
        print(f"applied {name}")
    if done.routines:
        print("applied the routines")
    nothing = not done.applied and not done.routines
    print(f"schema version {done.version}" + (" (nothing to apply)" if nothing else ""))
    return 0
