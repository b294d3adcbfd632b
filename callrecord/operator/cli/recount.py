"""`python -m db recount`: recomputes all sums that triggers maintain from the rows."""

import asyncio
import os
from argparse import ArgumentParser, Namespace

from callrecord.operator.cli.output import say
from callrecord.operator.cli.owner import owners_connection
from callrecord.postgres.database_url import checked_url
from callrecord.schema.recount import recount_calls, recount_totals

NAME = "recount"
HELP = "recompute all totals from the rows, after a data-only restore; calls can continue"


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare nothing."""


def run(_arguments: Namespace) -> int:
    """Recompute the sums."""
    return asyncio.run(_run(checked_url(os.environ.get("DATABASE_URL"))))


async def _run(dsn: str) -> int:
    async with owners_connection(dsn) as connection:
        await recount_totals(connection)
        changed = [step.changed async for step in recount_calls(connection)][-1]
    say([f"totals recomputed from the rows; {changed} calls had wrong totals"])
    return 0
