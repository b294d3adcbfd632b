"""Delivery: what the database refuses is kept aside alone, and one call never keeps the others."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import callrecord.shipping.delivery
from callrecord.events import Event, Unhandled, encode
from callrecord.outbox.directory import OutboxHome, WorkerDirectory
from callrecord.outbox.refused_files import files_under, read_file
from callrecord.outbox.writer import OutboxWriter, frame
from callrecord.shipping.backlog import OutboxFiles
from callrecord.shipping.delivery import Delivery, Stats
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import at, ended, leg, message, started, usage, write


class Shipping:
    """A delivery of one directory's files, without its thread."""

    def __init__(self, directory: WorkerDirectory, dsn: str) -> None:
        self.path = directory.path
        self.stats = Stats()
        self.delivery = Delivery(dsn, self.stats)
        self._directory = directory
        self._files = OutboxFiles([directory])

    async def ship(self) -> int:
        """Ship all that can be shipped; return how many files are left."""
        for _ in range(4):  # read, finish, and what is held once more
            self._files.scan()
            await self.delivery.deliver(self._files.gather())
            self._files.finish()
        return len(self._files)

    async def close(self) -> None:
        """Give everything back."""
        self._files.close()
        await self.delivery.close()
        self._directory.release()


@pytest.fixture
async def shipping(
    tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shipping]:
    monkeypatch.setattr(callrecord.shipping.delivery, "HOLD_S", 0.0)
    shipping = Shipping(OutboxHome(tmp_path).take(), dsn)
    yield shipping
    await shipping.close()


async def contents(pg: Connection) -> list[str]:
    rows = await pg.fetch("select content from voice_messages order by content")
    return [row[0] for row in rows]


async def refused(pg: Connection) -> list[dict[str, Any]]:
    rows = await pg.fetch("select * from voice_worker.refused_events order by byte_offset")
    return [dict(row) for row in rows]


async def test_one_bad_row_is_kept_aside_and_all_others_are_stored(
    shipping: Shipping, pg: Connection
) -> None:
    bad = message("bad", tokens=2**31)
    cost = usage(7, message_id=bad.id)
    events: list[Event] = [message(f"a{n}") for n in range(5)]
    events += [bad, cost, *(message(f"b{n}") for n in range(5)), ended()]
    path = write(shipping.path, started(), *events)
    write(shipping.path, started(), message("other call"), ended())
    line = next(line for line in path.read_bytes().splitlines() if b'"bad"' in line)
    assert await shipping.ship() == 0
    (row,) = await refused(pg)
    assert (row["raw"], row["sqlstate"], row["source"]) == (line, "22003", path.name)
    found = await contents(pg)
    assert found == [*(f"a{n}" for n in range(5)), *(f"b{n}" for n in range(5)), "other call"]
    unattached = await pg.fetchrow("select message_id, total_tokens from voice_usage")
    assert unattached is not None
    assert tuple(unattached) == (None, 7)
    assert await pg.fetchval("select array_agg(distinct status::text) from voice_calls") == [
        "completed"
    ]
    assert shipping.stats.refused == 1


async def test_damage_gaps_and_raw_events_are_each_kept_aside(
    shipping: Shipping, pg: Connection
) -> None:
    raw = Unhandled(at=at(1), source="room", error="KeyError()", raw="<event>")
    path = write(shipping.path, started(), message("a"), message("lost"), raw, message("torn"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"#noise\n", lines[4], lines[5][:-9]]))
    lost = b"".join([*lines[:3], b"#noise\n"])
    for _ in range(2):  # a restarted worker ships a leftover file again, from its start
        copy = path.read_bytes()
        assert await shipping.ship() == 0
        path.write_bytes(copy)
    path.unlink()
    rows = await refused(pg)
    assert [(row["byte_offset"], row["raw"]) for row in rows] == [
        (len(lost) - len(b"#noise\n"), b"#noise"),
        (len(lost), lines[4].strip()),
        (len(lost) + len(lines[4]), lines[5][:-9]),
    ]
    assert await contents(pg) == ["a"]
    assert await pg.fetchval("select end_reason from voice_calls") == "worker_crashed"


async def test_what_people_said_is_in_no_log_line_of_a_refused_event(
    shipping: Shipping, pg: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    raw = Unhandled(at=at(1), source="session", error="ValueError('my pin')", raw="my pin")
    write(shipping.path, started(), raw, message("my pin", tokens=2**31), ended())
    assert await shipping.ship() == 0
    assert len(await refused(pg)) == 2
    assert caplog.text.count("event refused and kept aside") == 2
    assert not [record for record in caplog.records if "my pin" in str(vars(record))]


async def test_a_gap_before_a_refused_event_hides_neither(
    shipping: Shipping, pg: Connection
) -> None:
    bad = message("bad", tokens=2**31)
    path = write(shipping.path, started(), message("lost"), bad, ended())
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
    assert await shipping.ship() == 0
    gap, kept = await refused(pg)
    assert (gap["raw"], gap["error"]) == (b"", "1 events missing before 4")
    assert kept["raw"] == lines[3].strip()


async def test_what_may_not_be_kept_aside_in_the_table_goes_to_a_file(
    shipping: Shipping, pg: Connection
) -> None:
    await pg.execute("revoke insert on voice_worker.refused_events from voice_worker")
    damaged = write(shipping.path, header := started(), message("a"), ended())
    data = damaged.read_bytes() + b"#noise\n"
    for _ in range(2):  # a restarted worker ships a leftover file again
        damaged.write_bytes(data)
        assert await shipping.ship() == 0
    (path,) = files_under(shipping.path)
    kept = read_file(path)
    assert (kept.raw, kept.header, kept.call_id) == (b"#noise", header, header.key)
    assert kept.error == "bad checksum or unknown event"
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]
    assert modes == [0o600, 0o700]
    assert await contents(pg) == ["a"]


async def test_a_table_that_is_missing_holds_that_call_alone(
    shipping: Shipping, pg: Connection
) -> None:
    await pg.execute("alter table voice_worker.refused_events rename to gone")
    damaged = write(shipping.path, started(), message("a"), ended())
    damaged.write_bytes(damaged.read_bytes() + b"#noise\n")
    write(shipping.path, started(), message("b"), ended())
    assert await shipping.ship() == 1
    assert await contents(pg) == ["a", "b"]
    assert files_under(shipping.path) == []
    await pg.execute("alter table voice_worker.gone rename to refused_events")
    assert await shipping.ship() == 0
    assert [row["raw"] for row in await refused(pg)] == [b"#noise"]


async def test_a_call_whose_row_somebody_locks_keeps_no_other_call(
    shipping: Shipping, pg: Connection, dsn: str
) -> None:
    login = dsn.split("//")[1].split(":", maxsplit=1)[0]
    await pg.execute(f"alter role {login} set lock_timeout = '200ms'")
    header = started()
    path = write(shipping.path, header, message("early"), ended())
    copy = path.read_bytes()
    assert await shipping.ship() == 0
    path.write_bytes(copy)
    write(shipping.path, started(), message("other"), ended())
    await shipping.delivery.close()  # the limits of a login are those of its connections
    async with pg.transaction():
        await pg.execute("select from voice_calls for update")
        assert await shipping.ship() == 1
        assert await contents(pg) == ["early", "other"]
    assert await shipping.ship() == 0


async def test_the_events_of_a_deleted_call_are_counted_and_gone(
    shipping: Shipping, pg: Connection, dsn: str
) -> None:
    raw = Unhandled(at=at(1), source="room", error="KeyError()", raw="<event>")
    path = write(shipping.path, started(), message("a"))
    copy = path.read_bytes() + frame(4, encode(raw)) + b"#noise"
    await shipping.ship()
    await pg.execute("delete from voice_calls")
    path.write_bytes(copy)
    assert await shipping.ship() == 0
    # Two headers, a message, a raw event, a damaged line, and the end that we saw.
    assert shipping.stats.discarded == 6
    assert await refused(pg) == []
    assert await pg.fetchval("select count(*) from voice_calls") == 0
    reader = await asyncpg.connect(dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("delete from voice_calls")
    await reader.close()


async def test_a_turn_or_leg_that_somebody_deleted_does_not_come_back(
    shipping: Shipping, pg: Connection
) -> None:
    """Neither with its next version nor with a leftover file; other rows go on."""
    turn, stay, other = message("my pin"), leg("ada"), leg("bob")
    writer = OutboxWriter(shipping.path, started())
    first: list[Event] = [stay, other, turn]
    later: list[Event] = [
        message("my pin, and on", id=turn.id),
        leg("ada", id=stay.id, left_at=at(9)),
        leg("bob", id=other.id, left_at=at(9)),
        message("next"),
        ended(),
    ]
    for event in first:
        writer.append(event)
    await shipping.ship()
    await pg.execute("delete from voice_messages where id = $1", turn.id)
    await pg.execute("delete from call_participants where id = $1", stay.id)
    for event in later:
        writer.append(event)
    copy = writer.path.read_bytes()
    writer.close()
    for _ in range(2):
        assert await shipping.ship() == 0
        assert await contents(pg) == ["next"]
        legs = await pg.fetch("select participant_identity, left_at from call_participants")
        assert [tuple(row) for row in legs] == [("bob", at(9))]
        writer.path.write_bytes(copy)
    writer.path.unlink()
    await pg.execute("delete from voice_calls")  # of a whole call the call's own tombstone tells
    assert await pg.fetchval("select count(*) from voice_worker.deleted_rows") == 2
