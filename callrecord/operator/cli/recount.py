"""`python -m db recount`: every sum that triggers keep, made equal to the rows."""

import asyncio
import os
from argparse import ArgumentParser, Namespace

from callrecord.operator.cli.output import say
from callrecord.operator.cli.owner import owners_connection
from callrecord.postgres.database_url import checked_url
from callrecord.schema.recount import recount_calls, recount_totals

NAME = "recount"
HELP = "make all totals equal to the rows, as after a restore of data alone; calls may go on"


def add_arguments(_parser: ArgumentParser) -> None:
    """Declare none."""


def run(_arguments: Namespace) -> int:
    """Do it."""
    return asyncio.run(_run(checked_url(os.environ.get("DATABASE_URL"))))


async def _run(dsn: str) -> int:
    async with owners_connection(dsn) as connection:
        await recount_totals(connection)
        changed = [step.changed async for step in recount_calls(connection)][-1]
    say([f"totals are those of the rows; {changed} calls had others"])
    return 0
