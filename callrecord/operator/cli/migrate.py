"""`python -m db migrate`."""

import asyncio
import os
from argparse import ArgumentParser, Namespace

from callrecord.postgres.database_url import checked_url
from callrecord.schema.migrate import migrate
from callrecord.schema.set_aside import drop_before, names_before, tables_before

NAME = "migrate"
HELP = "bring the database of DATABASE_URL to the newest schema"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--wait",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for a Postgres that does not answer yet, and for a lock that "
        "another session holds (default: 30)",
    )
    rules = parser.add_mutually_exclusive_group()
    rules.add_argument(
        "--mend",
        action="store_true",
        help="remove policies and grants that open other people's calls or users.role to users",
    )
    rules.add_argument(
        "--as-is", action="store_true", help="keep such policies and grants, and list them"
    )
    parser.add_argument(
        "--drop-before",
        action="store_true",
        help="afterwards drop the tables from before the upgrade, whose rows are in the new tables",
    )


def run(arguments: Namespace) -> int:
    """Migrate and print what was applied; drop the old tables if asked."""
    return asyncio.run(_run(checked_url(os.environ.get("DATABASE_URL")), arguments))


async def _run(url: str, arguments: Namespace) -> int:
    done = await migrate(url, patience_s=arguments.wait, mend=arguments.mend, as_is=arguments.as_is)
    for name in done.applied:
        print(f"applied {name}")
    if done.routines:
        print("applied the routines")
    nothing = not done.applied and not done.routines
    print(f"schema version {done.version}" + (" (nothing to apply)" if nothing else ""))
    if arguments.drop_before:
        await _drop_before(url)
    elif kept := await names_before(url):
        print(
            f"the tables from before are kept in voice_before ({', '.join(kept)}): "
            "run `migrate --drop-before` to drop them"
        )
    return 0


async def _drop_before(url: str) -> None:
    tables = await tables_before(url)
    for table in tables:
        print(f"voice_before.{table.name}: {table.rows} rows", flush=True)
    if not tables:
        print("no tables from before are kept")
        return
    await drop_before(url)
    print("dropped")
