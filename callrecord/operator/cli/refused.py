"""`python -m db refused`: events that Postgres rejected."""

import asyncio
import json
import os
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path
from uuid import UUID

import msgspec

from callrecord.errors import Stop, VoiceError
from callrecord.postgres.database_url import checked_url
from callrecord.postgres.store import Store, check_schema
from callrecord.shipping.retry_refused import Kept, list_refused, retry
from callrecord.shipping.settings import outbox_dir

NAME = "refused"
HELP = "list the events that Postgres rejected, or retry them"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the subcommands."""
    what = parser.add_subparsers(dest="what", metavar="what", required=True)
    listing = what.add_parser("list", help="list the rejected events, oldest first")
    listing.add_argument("--json", action="store_true", help="print one JSON object per line")
    trying = what.add_parser("retry", help="store rejected events again, once the cause is fixed")
    which = trying.add_mutually_exclusive_group(required=True)
    which.add_argument("--id", help="retry one event, by the id that the list shows")
    which.add_argument(
        "--call", type=UUID, help="retry the events of one call: the id of its row, or its key"
    )
    which.add_argument("--all", action="store_true", help="retry all of them")
    for each in (listing, trying):
        each.add_argument(
            "--outbox",
            type=Path,
            metavar="DIR",
            help="also read the files of this outbox (default: AGENT_OUTBOX_DIR, if it exists)",
        )


def run(arguments: Namespace) -> int:
    """List or retry; return 1 if a retried event is still refused."""
    dsn = checked_url(os.environ.get("DATABASE_URL"))
    if arguments.outbox is not None and not arguments.outbox.is_dir():
        raise Stop(f"--outbox {arguments.outbox}: there is no such directory")
    return asyncio.run(_run(arguments, dsn))


async def _run(arguments: Namespace, dsn: str) -> int:
    await check_schema(dsn)
    store = Store(dsn)
    try:
        outbox = arguments.outbox or outbox_dir(os.environ)
        try:
            found = await list_refused(store, outbox if outbox.is_dir() else None)
            if arguments.what == "list":
                return _list(found, as_json=arguments.json)
            return await _retry(store, _chosen(found, arguments))
        except (OSError, msgspec.DecodeError) as error:
            raise VoiceError(f"the file of a refused event can't be used: {error}") from error
    finally:
        await store.close()


def _list(found: list[Kept], *, as_json: bool) -> int:
    for kept in found:
        event = kept.event
        row = {
            "id": event.id,
            "where": "table" if kept.path is None else str(kept.path),
            "call_id": event.call_id,
            "call_key": event.call_key,
            "job_id": event.job_id,
            "sqlstate": event.sqlstate,
            "error": event.error,
            "bytes": kept.size,
            "refused_at": event.refused_at.isoformat(timespec="seconds"),
        }
        if as_json:
            print(json.dumps(row, default=str))
        else:
            why = f"{event.sqlstate or '-'} {_line(event.error)}"
            print(f"{row['refused_at']}  call {event.call_id or '-'}  {kept.size} bytes  {why}")
            print(f"    {_line(event.id)}" + (f"  in {kept.path}" if kept.path else ""))
    if not as_json:
        print(f"{len(found)} refused")
    return 0


def _chosen(found: list[Kept], arguments: Namespace) -> list[Kept]:
    if arguments.all:
        return found
    if arguments.id is not None:
        chosen = [kept for kept in found if kept.event.id == arguments.id]
    else:
        calls = [(kept.event.call_id, kept.event.call_key) for kept in found]
        chosen = [kept for kept, ids in zip(found, calls, strict=True) if arguments.call in ids]
    if not chosen:
        raise VoiceError("no such refused event: see `refused list`")
    return chosen


async def _retry(store: Store, chosen: list[Kept]) -> int:
    outcomes: Counter[str] = Counter()
    for kept in chosen:
        outcome, why = await retry(store, kept)
        outcomes[outcome] += 1
        if outcome != "stored":
            print(f"{outcome}  {_line(kept.event.id)}  {_line(why)}".rstrip())
    counted = [f"{outcomes[name]} {name}" for name in ("stored", "deleted", "stays")]
    print(", ".join(counted))
    return 1 if outcomes["stays"] else 0


def _line(text: str) -> str:
    first = text.partition("\n")[0][:160]
    return "".join(letter if letter.isprintable() else "?" for letter in first)
