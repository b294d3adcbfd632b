"""`python -m db types`."""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace

from callrecord.operator.typescript import typescript_of
from callrecord.postgres.database_url import checked_url
from callrecord.postgres.schema_version import check
from callrecord.schema.migrate import connected

NAME = "types"
HELP = "print TypeScript types for what a signed-in user can use in the database of DATABASE_URL"

_PATIENCE_S = 10.0


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare nothing."""


def run(_arguments: Namespace) -> int:
    """Print the file."""
    sys.stdout.write(asyncio.run(_read(os.environ.get("DATABASE_URL"))))
    return 0


async def _read(url: str | None) -> str:
    async with connected(checked_url(url), _PATIENCE_S) as connection:
        await check(connection)
        return await typescript_of(connection)
