"""`python -m db replay`: an outbox from another host is shipped, and stays as it is."""

from pathlib import Path

import pytest

from callrecord.outbox.directory import OutboxHome
from callrecord.outbox.writer import OutboxWriter
from tests.faults.invariant import Account, Recorded, account, recorded_under
from tests.postgres.callrecord.operator.cli.test_refused import db
from tests.postgres.rows import STRICT
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import connected, ended, leg, message, started, usage, write


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def rescued(tmp_path: Path) -> tuple[Path, list[Recorded]]:
    """A home of two workers that are gone: a whole call, a crashed one, a job without events."""
    home = OutboxHome(tmp_path / "rescued")
    first, second = home.take(), home.take()
    whole = Recorded(started(), [leg(), connected(), message("a"), usage(), ended()])
    crashed = Recorded(started(), [leg(), message("b")])
    never = Recorded(started())
    write(first.path, whole.header, *whole.events)
    write(second.path, crashed.header, *crashed.events)
    second.note_accepted(never.header)
    for directory in (first, second):
        directory.release()
    return home.root, [whole, crashed, never]


async def test_a_whole_outbox_is_shipped_and_not_changed_then_all_is_there_already(
    rescued: tuple[Path, list[Recorded]], dsn: str, pg: Connection
) -> None:
    root, ledger = rescued
    before = contents(root)
    code, out, _ = await db(dsn, "replay", root)
    assert (code, out.splitlines()[-1]) == (0, "3 shipped, 0 left")
    first = f"call {ledger[0].header.key} completed caller_hangup: 3 rows stored, 0 already there"
    assert first in out
    assert await account(pg, ledger) == Account(7, 7, 0, 0, 0)
    code, out, _ = await db(dsn, "replay", root)
    assert code == 0
    assert first.replace("3 rows stored, 0 already", "0 rows stored, 3 already") in out
    assert contents(root) == before
    assert await account(pg, ledger) == Account(7, 7, 0, 0, 0)


async def test_what_was_shipped_can_be_removed(
    rescued: tuple[Path, list[Recorded]], dsn: str, pg: Connection
) -> None:
    root, ledger = rescued
    (one,) = root.glob(f"*/*{ledger[0].header.key.hex}.events")
    assert (await db(dsn, "replay", one, "--remove"))[0] == 0
    assert not one.exists()
    (directory,) = {path.parent for path in root.glob("*/*.events")}
    assert (await db(dsn, "replay", "--remove", directory))[0] == 0
    assert [*root.glob("*/*.events"), *root.glob("*/*.accepted")] == []
    await account(pg, ledger)


async def test_a_living_writers_file_and_a_living_workers_directory_are_left_alone(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    home = OutboxHome(tmp_path)
    living, held = home.take(), home.take()
    living.release()
    writer = OutboxWriter(living.path, started())
    write(held.path, started(), ended())
    (tmp_path / "notes.events").write_bytes(b"mine")
    code, out, _ = await db(dsn, "replay", tmp_path, "--remove")
    assert code == 1
    assert sorted(line.partition(": ")[2] for line in out.splitlines()) == [
        "",
        "left: a worker holds this directory",
        "left: its writer is alive",
        "left: not an outbox file",
    ]
    assert await pg.fetchval("select count(*) from voice_calls") == 0
    assert writer.path.exists()
    writer.close()
    held.release()


async def test_deleted_and_refused_are_told_and_what_is_held_is_left(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    deleted, bad = started(), Recorded(started(), [message("bad"), message("good"), ended()])
    write(tmp_path, deleted, message("gone"), ended())
    assert (await db(dsn, "replay", tmp_path, "--remove"))[0] == 0
    await pg.execute("delete from voice_calls")
    write(tmp_path, deleted, message("gone"), ended())
    code, out, _ = await db(dsn, "replay", tmp_path, "--remove")
    assert (code, "discarded, its owner has deleted the call" in out) == (0, True)
    await pg.execute(STRICT)
    write(tmp_path, bad.header, *bad.events)
    code, out, _ = await db(dsn, "replay", tmp_path)
    assert (code, "1 rows stored, 0 already there, 1 refused" in out) == (0, True)
    assert await account(pg, [bad], outbox=None) == Account(3, 2, 0, 1, 0)
    await pg.execute("drop function voice_worker.apply_usage")
    write(tmp_path, started(), usage(), ended())
    code, out, _ = await db(dsn, "replay", tmp_path, "--remove")
    assert (code, out.count("left: 42883: function")) == (1, 1)
    assert len(recorded_under(tmp_path)) == 1


async def test_a_call_that_was_swept_gets_its_true_end(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    one = Recorded(started(), [leg(), connected(), message("a"), ended()])
    path = write(tmp_path, one.header, *one.events[:3])
    assert (await db(dsn, "replay", tmp_path))[0] == 0
    await pg.execute(
        "set voice_worker.applying = 'on'; update voice_calls "
        "set status = 'failed', end_reason = 'worker_lost', ended_at = now(), swept_at = now()"
    )
    path.unlink()
    write(tmp_path, one.header, *one.events)
    code, out, _ = await db(dsn, "replay", tmp_path)
    assert (code, "completed caller_hangup: 0 rows stored, 2 already there" in out) == (0, True)
    assert (await account(pg, [one])).stored == 4


async def test_what_is_not_there_or_does_not_do_is_one_line(tmp_path: Path, dsn: str) -> None:
    code, _, err = await db(dsn, "replay", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    assert (await db("", "replay", tmp_path))[0] == 2
    code, _, err = await db("postgresql://nobody@127.0.0.1:1/none", "replay", tmp_path)
    assert (code, err.count("\n")) == (1, 1)
