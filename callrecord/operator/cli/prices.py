"""`python -m db prices`: the prices of models, and the costs of requests."""

import asyncio
import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import asyncpg

from callrecord.operator.cli.output import say, width
from callrecord.operator.cli.owner import owners_connection
from callrecord.operator.prices import UNITS, Price, read_prices, recompute, save
from callrecord.operator.rendering.table import table
from callrecord.postgres.database_url import checked_url
from callrecord.postgres.queries import sql

NAME = "prices"
HELP = "list, set or load the prices of models, or recompute the costs of requests"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the subcommands."""
    what = parser.add_subparsers(dest="what", metavar="what", required=True)
    listing = what.add_parser(
        "list", help="list all prices, or the prices of one provider or model"
    )
    listing.add_argument("--provider")
    listing.add_argument("--model")
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    one = what.add_parser("set", help="set one price; it replaces the price of the same day")
    for name in ("provider", "model"):
        one.add_argument(name, help=f"the {name}, as in voice_usage.{name}")
    one.add_argument("unit", choices=UNITS, metavar="unit", help=", ".join(UNITS))
    one.add_argument("price", type=_decimal, help="price in USD")
    one.add_argument(
        "--per", type=int, default=1, help="number of units the price is for, such as 1000000"
    )
    one.add_argument(
        "--from", type=_day, dest="valid_from", help="first day the price is valid (default: today)"
    )
    one.add_argument("--source", help="where the price is published")
    load = what.add_parser("load", help="load prices from a CSV file with the columns of the table")
    load.add_argument("file", type=Path)
    load.add_argument(
        "--replace", action="store_true", help="also replace prices that are already set"
    )
    again = what.add_parser(
        "recompute", help="compute the costs of requests and calls with the prices as they are now"
    )
    again.add_argument("--since", type=_day, help="first day, included")
    again.add_argument("--until", type=_day, help="last day, not included")
    again.add_argument("--model")


def run(arguments: Namespace) -> int:
    """Run the subcommand."""
    return asyncio.run(_run(arguments, checked_url(os.environ.get("DATABASE_URL"))))


async def _run(arguments: Namespace, dsn: str) -> int:
    async with owners_connection(dsn) as connection:
        match arguments.what:
            case "list":
                await _list(connection, arguments)
            case "set":
                await _save(connection, [_one(arguments)], replace=True)
            case "load":
                prices = read_prices(arguments.file)
                await _save(connection, prices, replace=arguments.replace)
            case _:
                await _recompute(connection, arguments)
    return 0


async def _list(connection: "asyncpg.Connection[Any]", arguments: Namespace) -> None:
    rows = await connection.fetch(sql("list_prices"), arguments.provider, arguments.model)
    if arguments.json:
        say(json.dumps(dict(row), default=str) for row in rows)
        return
    names = ("provider", "model", "unit", "price", "per", "from", "source")
    cells = [
        (
            row["provider"],
            row["model"],
            row["unit"],
            f"{row['price'].normalize():f} {row['currency']}",
            f"{row['per']:,}",
            str(row["valid_from"]),
            row["source"],
        )
        for row in rows
    ]
    say(table(names, cells, width=width(), wraps=("source",)))


def _one(arguments: Namespace) -> Price:
    return Price(
        provider=arguments.provider,
        model=arguments.model,
        unit=arguments.unit,
        price=arguments.price,
        per=arguments.per,
        valid_from=arguments.valid_from or datetime.now(UTC).date(),
        source=arguments.source,
        source_date=datetime.now(UTC).date() if arguments.source else None,
    )


async def _save(
    connection: "asyncpg.Connection[Any]", prices: list[Price], *, replace: bool
) -> None:
    stored = await save(connection, prices, replace=replace)
    kept = len(prices) - stored
    summary = f"{stored} prices stored" + (f", {kept} already set" if kept else "")
    say([summary, "run `prices recompute` to update the costs of earlier requests"])


async def _recompute(connection: "asyncpg.Connection[Any]", arguments: Namespace) -> None:
    progress = ""
    steps = recompute(
        connection, since=arguments.since, until=arguments.until, model=arguments.model
    )
    async for step in steps:
        progress = f"{step.requests} requests, {step.changed} changed"
        if sys.stderr.isatty():
            print(f"\r{progress}", end="", file=sys.stderr, flush=True)
    say([progress])


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ArgumentTypeError(f"{text!r} is not a number") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2026-01-31") from None
