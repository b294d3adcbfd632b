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
        help="how long to wait for a Postgres that does not answer yet (default: 30)",
    )


def run(arguments: Namespace) -> int:
    """Apply what is missing and say what was applied."""
    done = asyncio.run(migrate(os.environ.get("DATABASE_URL"), patience_s=arguments.wait))
    for name in done.applied:
        print(f"applied {name}")
    if done.routines:
        print("applied the routines")
    nothing = not done.applied and not done.routines
    print(f"schema version {done.version}" + (" (nothing to apply)" if nothing else ""))
    return 0
