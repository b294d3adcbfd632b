"""Recorded = in Postgres exactly once + still in the outbox + refused + deleted by its owner.

The ledger is kept outside the system: by the test, or from what a job's process said it had
appended. `account` compares it with what is there, and fails with the events that are nowhere.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from callrecord.events import (
    CallEnded,
    CallStarted,
    Event,
    Leg,
    Message,
    Usage,
    decode,
    encode,
    status_of,
)
from callrecord.outbox.reader import Damage, Entry, Tail
from tests.postgres.server import Connection

Row = Message | Leg | Usage
Name = UUID | tuple[str, UUID]
"""Of a row its id; of the call's connect and end their type and the call's key."""


@dataclass
class Recorded:
    """One job's part of the ledger.

    Attributes:
        header: The call as the job told it.
        events: What was appended, in order, without the header.
        torn: Bytes of a last line that was never finished, and so never recorded.
        hit: What damage may have hit, if that is known; else it may be anything.
    """

    header: CallStarted
    events: list[Event] = field(default_factory=list)
    torn: bytes = b""
    hit: set[Name] | None = None

    def newest(self) -> dict[Name, Event]:
        """Return the newest version of each row, and the connect and end, in order."""
        return {name_of(self.header, event): event for event in self.events}


@dataclass(frozen=True)
class Account:
    """Where what was recorded is: rows (in their newest version), connects and ends.

    Attributes:
        recorded: How many there are.
        stored: In Postgres.
        waiting: In the outbox, and not in Postgres.
        refused: Kept aside, in the table or in a file.
        deleted: Of calls, or rows, that their owner has deleted.
    """

    recorded: int
    stored: int
    waiting: int
    refused: int
    deleted: int


async def account(
    pg: Connection,
    ledger: Sequence[Recorded],
    *,
    outbox: Path | None = None,
    ends: Mapping[UUID, str] | None = None,
    in_hand: int = 0,
) -> Account:
    """Check the invariant, and that each call's row tells the true end.

    Args:
        pg: A connection of the owner.
        ledger: What was recorded.
        outbox: The directory of all workers; None if it must be empty or is gone.
        ends: Expected end reason by the header's key; else the recorded end, or `worker_crashed`.
        in_hand: Rows that may be there besides, for each call: the one whose writer was killed
            before it could say that it was appended.

    Raises:
        AssertionError: Something is lost, twice, or not as recorded.
    """
    waiting = {recorded.header.key: recorded for recorded in recorded_under(outbox)}
    aside = await refused(pg, outbox)
    total = Account(0, 0, 0, 0, 0)
    for each in ledger:
        file = waiting.get(each.header.key)
        one, kept = await _account_of(pg, each, file, aside, in_hand=in_hand)
        total = Account(*(a + b for a, b in zip(_numbers(total), _numbers(one), strict=True)))
        if kept is not None and not (file and file.events):
            expected = (ends or {}).get(each.header.key)
            if expected is None and ("CallEnded", each.header.key) in kept:
                if file is not None:
                    continue  # the end of its writer is still to come
                expected = "worker_crashed"
            await _check_end(pg, each, expected, alive=file is not None)
    found = (total.stored, total.waiting, total.refused, total.deleted)
    assert total.recorded == sum(found), f"{total.recorded} recorded, but found {total}"
    return total


def name_of(header: CallStarted, event: Event) -> Name:
    """Return by what an event's row is known."""
    if isinstance(event, Row):
        return event.id
    return (type(event).__name__, header.key)


def recorded_under(outbox: Path | None) -> list[Recorded]:
    """Return what lies in the outbox files below a directory, without taking any lock."""
    found: list[Recorded] = []
    for path in sorted(outbox.rglob("*.events")) if outbox is not None else ():
        try:
            items = list(_items(path))
        except FileNotFoundError:  # shipped since
            continue
        events = [item.event for item in items if isinstance(item, Entry)]
        headers = [event for event in events if isinstance(event, CallStarted)]
        if headers:
            rest: list[Event] = [event for event in events if not isinstance(event, CallStarted)]
            found.append(Recorded(headers[0], rest))
    return found


@dataclass(frozen=True)
class Aside:
    """An event kept aside.

    Attributes:
        source: The outbox file's name.
        raw: Its line; empty for a gap.
        error: Why.
        sqlstate: Postgres' code, or empty.
        where: "table" or "file".
    """

    source: str
    raw: bytes
    error: str
    sqlstate: str
    where: str

    @property
    def event(self) -> Event | None:
        """The event, if its line is whole."""
        try:
            return decode(self.raw.split(b" ", 2)[2])
        except (IndexError, ValueError):
            return None


async def refused(pg: Connection, outbox: Path | None = None) -> list[Aside]:
    """Return what is kept aside, in the table and in files."""
    rows = await pg.fetch(
        "select source, raw, error, coalesce(sqlstate, '') as sqlstate "
        "from voice_worker.refused_events order by source, byte_offset"
    )
    return [Aside(**dict(row), where="table") for row in rows] + _refused_files(outbox)


def _refused_files(outbox: Path | None) -> list[Aside]:
    found: list[Aside] = []
    for path in sorted(outbox.rglob("refused/*.json")) if outbox is not None else ():
        told = json.loads(path.read_bytes())
        raw = base64.b64decode(told["raw"])
        found.append(Aside(told["source"], raw, told["error"], told["sqlstate"], "file"))
    return found


async def call_row(pg: Connection, header: CallStarted) -> dict[str, Any] | None:
    """Return the row of a job's call; None if there is none (any more)."""
    rows = await pg.fetch(
        "select * from voice_calls where room_sid = $1 or id = $2", header.room_sid, header.key
    )
    assert len(rows) <= 1, f"{len(rows)} rows of one call"
    return dict(rows[0]) if rows else None


async def _account_of(
    pg: Connection,
    each: Recorded,
    file: Recorded | None,
    aside: Iterable[Aside],
    *,
    in_hand: int,
) -> tuple[Account, set[Name] | None]:
    """Return the account of one job, and what was kept aside; None if the call was deleted."""
    newest = each.newest()
    row = await call_row(pg, each.header)
    if row is None and await _tombstone(pg, each.header):
        await _nothing_of(pg, newest)
        return Account(len(newest), 0, 0, 0, len(newest)), None
    stored = await _stored(pg, each.header, row)
    there = {name for name in newest if name in stored}
    hit = each.hit or set()
    # What was hit is in its file too, for as long as that is there.
    waiting = {name for name in newest if name in hit or name in file.newest()} if file else set()
    mine = [item for item in aside if each.header.key.hex in item.source]
    kept = _kept_aside(each, mine, [name for name in newest if name not in there | waiting])
    if each.torn and not file and not hit:
        assert each.torn in [item.raw for item in mine], "an unfinished line was not kept aside"
    deleted = await _buried(pg, set(newest))
    assert not deleted & there, f"deleted, and there again: {[newest[name] for name in deleted]}"
    buried = deleted - waiting - kept
    lost = set(newest) - there - waiting - kept - buried
    assert not lost, f"lost of {each.header.job_id}: {[newest[name] for name in lost]}"
    extra = set(stored) - set(newest)
    assert len(extra) <= in_hand, f"never recorded: {[stored[name] for name in extra]}"
    for name in there - waiting:
        versions = [event for event in each.events if name_of(each.header, event) == name]
        _same(stored[name], versions, [item.event for item in mine], hit=name in hit)
    _in_order(each, [stored[name] for name in newest if name in there - hit])
    one = Account(len(newest), len(there), len(waiting - there), len(kept), len(buried))
    return one, kept


async def _stored(
    pg: Connection, header: CallStarted, row: dict[str, Any] | None
) -> dict[Name, dict[str, Any]]:
    found: dict[Name, dict[str, Any]] = {}
    if row is None:
        return found
    for query in (
        "select *, timestamp as at, tokens_used as tokens from voice_messages where call_id = $1",
        "select *, participant_identity as identity from call_participants where call_id = $1",
        "select *, created_at as at from voice_usage where call_id = $1",
    ):
        for each in await pg.fetch(query, row["id"]):
            if each["revision"]:  # else a front end's own
                found[each["id"]] = dict(each)
    if row["connected_at"] is not None:
        found["CallConnected", header.key] = row
    if row["end_reason"] is not None:
        found["CallEnded", header.key] = row
    # The end that a shipper saw, or a sweep wrote, is nobody's event.
    if row["end_reason"] in ("worker_crashed", "worker_lost"):
        del found["CallEnded", header.key]
    return found


def _kept_aside(each: Recorded, aside: list[Aside], missing: list[Name]) -> set[Name]:
    lines = [item for item in aside if item.raw and item.raw != each.torn]
    names = [item.event and name_of(each.header, item.event) for item in lines]
    kept = {name for name in missing if name in names}
    # Of a damaged line, its id perhaps, nobody can say which event it was: there is one for each.
    damaged = [name for name in names if name not in each.newest()]
    may_be = [name for name in missing if each.hit is None or name in each.hit]
    return kept | set([name for name in may_be if name not in kept][: len(damaged)])


def _same(
    row: dict[str, Any], versions: list[Event], aside: list[Event | None], *, hit: bool
) -> None:
    good = [event for event in map(_as_written, versions) if hit or event not in aside]
    for event in aside if hit else ():
        # A damaged line is one version, of several perhaps that say the same.
        if event in good:
            good.remove(event)
    told = [_told(event) for event in (good if hit else good[-1:])]
    if told:
        fits = [{name: row[name] for name in version} == version for version in told]
        assert any(fits), f"{row} is none of {told}"


def _told(event: Event) -> dict[str, Any]:
    match event:
        case Message():
            names = ["role", "content", "at", "interrupted", "tokens"]
        case Usage():
            names = ["kind", "at", "total_tokens", "cancelled"]
        case Leg():
            names = ["identity", "joined_at"] + (["left_at"] if event.left_at else [])
        case _:
            names = []
    return {name: getattr(event, name) for name in names}


def _as_written(event: Event) -> Event:
    return decode(encode(event))


def _in_order(each: Recorded, rows: list[dict[str, Any]]) -> None:
    numbers = [row["sequence_number"] for row in rows if "sequence_number" in row]
    assert numbers == sorted(set(numbers)), f"turns of {each.header.job_id} are not in order"


async def _check_end(pg: Connection, each: Recorded, expected: str | None, *, alive: bool) -> None:
    row = await call_row(pg, each.header)
    assert row is not None, f"no row of the call of {each.header.job_id}"
    told = [event for event in each.events if isinstance(event, CallEnded)]
    hit = ("CallEnded", each.header.key) in (each.hit or ())
    if expected is None and alive and (not told or (hit and row["end_reason"] is None)):
        return  # it goes on
    reason = expected or (told[-1].end_reason if told else "worker_crashed")
    if hit and row["end_reason"] != reason:
        reason, told = "worker_crashed", []
    assert row["end_reason"] == reason
    assert row["status"] == status_of(reason)
    assert row["duration_seconds"] >= 0
    if expected is None and told:
        assert row["ended_at"] == told[-1].at
    open_legs = "select count(*) from call_participants where call_id = $1 and left_at is null"
    assert await pg.fetchval(open_legs, row["id"]) == 0


async def _tombstone(pg: Connection, header: CallStarted) -> bool:
    found: bool = await pg.fetchval(
        "select voice_worker.was_deleted($1, $2, null)", header.room_sid, header.key
    )
    return found


async def _buried(pg: Connection, names: set[Name]) -> set[Name]:
    ids = [name for name in names if isinstance(name, UUID)]
    if not ids or await pg.fetchval("select to_regclass('voice_worker.deleted_rows')") is None:
        return set()
    rows = await pg.fetch("select id from voice_worker.deleted_rows where id = any ($1)", ids)
    return {row["id"] for row in rows}


async def _nothing_of(pg: Connection, newest: Iterable[Name]) -> None:
    ids = [name for name in newest if isinstance(name, UUID)]
    for query in (
        "select count(*) from voice_messages where id = any ($1)",
        "select count(*) from call_participants where id = any ($1)",
        "select count(*) from voice_usage where id = any ($1)",
    ):
        assert await pg.fetchval(query, ids) == 0, "rows of a deleted call"


def _items(path: Path) -> Iterable[Entry | Damage]:
    tail = Tail(path)
    try:
        while tail.grown():
            yield from tail.read()
    finally:
        tail.close(remove=False)


def _numbers(one: Account) -> tuple[int, ...]:
    return (one.recorded, one.stored, one.waiting, one.refused, one.deleted)
