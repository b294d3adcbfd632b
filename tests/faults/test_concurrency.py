"""Several at once, things twice, and clocks: each event is there once, and in its order."""

import asyncio
import json
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import asyncpg
import pytest

import callrecord.events
from callrecord.outbox.writer import SUFFIX, OutboxWriter
from callrecord.postgres.batch import to_json
from callrecord.postgres.queries import sql
from callrecord.recording.recorder import Recorder
from tests.faults.invariant import Recorded, account
from tests.postgres.callrecord.shipping.shipping import files_under, shipping
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import (
    at,
    batch,
    connected,
    ended,
    events_of,
    leg,
    message,
    read_all,
    started,
    usage,
    write,
)
from tests.unit.callrecord.recording.people import leave, participant
from tests.waiting import until


def calls(number: int) -> list[Recorded]:
    return [
        Recorded(started(), [leg(), connected(), message(f"{n}", tokens=n), usage(n), ended()])
        for n in range(number)
    ]


async def test_33_two_workers_on_one_outbox_directory(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    ledger = calls(40)
    async with (
        shipping(tmp_path, dsn) as (one, first),
        shipping(tmp_path, dsn) as (two, second),
    ):
        for n, call in enumerate(ledger):
            write((first if n % 2 else second).path, call.header, *call.events)
    assert (await account(pg, ledger)).stored == 40 * 5
    assert one.stats.events == two.stats.events == 20 * 7  # with two headers each


async def test_37_the_same_event_twice(tmp_path: Path, dsn: str, pg: Connection) -> None:
    """The same file again, from a copy; and in one file the same row again and again."""
    ledger = calls(3)
    words = message("so far", metadata={"final": False})
    for call in ledger[:1]:
        call.events[2:2] = [words, message("so far and on", id=words.id), words, words]
    async with shipping(tmp_path, dsn) as (_, directory):
        for _ in range(3):
            for call in ledger:
                path = write(tmp_path, call.header, *call.events)
                path.rename(directory.path / path.name)
            await until(lambda: not files_under(tmp_path))
    assert (await account(pg, ledger)).stored == 3 * 5 + 1
    assert await pg.fetchval("select count(*) from voice_calls") == 3


async def test_45_two_batches_over_the_same_calls_in_opposite_order(
    dsn: str, pg: Connection
) -> None:
    """Neither may fail: of a deadlock Postgres would tell one of them."""
    ledger = [Recorded(started()) for _ in range(20)]
    one, two = [await asyncpg.connect(dsn) for _ in range(2)]
    for round_ in range(12):
        parts = []
        for call in ledger:
            call.events.append(ended() if round_ == 11 else message(f"round {round_}"))
            parts.append(batch(call.header, call.events[-1], first=3 + round_))
        forth = json.loads(to_json(parts))
        # Of new rows a worker takes care itself, see to_json.
        back = {**forth, "calls": forth["calls"][::-1]} if round_ else forth
        apply = sql("apply_batch")
        await asyncio.gather(
            one.execute(apply, json.dumps(forth)), two.execute(apply, json.dumps(back))
        )
    for connection in (one, two):
        await connection.close()
    assert (await account(pg, ledger)).stored == 20 * 12


class Clock:
    """A clock that can be set back."""

    back = timedelta()

    @classmethod
    def now(cls, zone: tzinfo) -> datetime:
        """Return what it shows."""
        return datetime.now(zone) - cls.back


async def test_39_the_clock_steps_back(
    tmp_path: Path, dsn: str, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an injected clock; the machine's own is not ours to set."""
    monkeypatch.setattr(callrecord.events, "datetime", Clock)
    monkeypatch.setattr(Clock, "back", timedelta())
    async with shipping(tmp_path, dsn) as (_, directory):
        header = started(at=datetime.now(UTC), room_created_at=datetime.now(UTC))
        writer = OutboxWriter(directory.path, header)
        recorder, ada = Recorder(writer), participant("ada")
        recorder.legs.joined(ada)
        recorder.connected(callrecord.events.now())
        spoke = callrecord.events.now()
        Clock.back = timedelta(hours=1)
        recorder.append(message("said", at=spoke, speech_started_at=spoke, speech_ended_at=at(0)))
        recorder.append(message("and on", at=callrecord.events.now()))
        recorder.legs.left(leave(ada))
        copy = tmp_path / f"{writer.path.stem}.copy"
        copy.hardlink_to(writer.path)
        recorder.finish("caller_hangup", callrecord.events.now(), {})
    recorded = Recorded(header, events_of(read_all(copy.rename(copy.with_suffix(SUFFIX)))))
    assert len(recorded.newest()) == 5
    assert (await account(pg, [recorded])).stored == 5
    row = await pg.fetchrow(
        "select (select duration_seconds from voice_calls), "
        "(select duration_seconds from call_participants), "
        "(select min(audio_duration_ms) from voice_messages), "
        "(select array_agg(content order by sequence_number) from voice_messages)"
    )
    assert row is not None
    assert tuple(row) == (0, 0, 0, ["said", "and on"])
