"""`python -m db refused`: what Postgres did not take is listed, and taken once it can be."""

import asyncio
import contextlib
import io
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from callrecord.operator.main import main
from callrecord.outbox.refused_files import files_under, read_file
from local.places import PROJECT
from tests.postgres.applied import call_of, pending_row
from tests.postgres.callrecord.shipping.shipping import shipping, stored
from tests.postgres.rows import STRICT
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import ended, message, started, usage, write


async def db(url: str, *arguments: object, outbox: Path | None = None) -> tuple[int, str, str]:
    """Do `python -m db ...` in a thread; return its exit code and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    env = {"DATABASE_URL": url, "AGENT_OUTBOX_DIR": str(outbox or "/nonexistent")}
    with (
        mock.patch.dict(os.environ, env),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = await asyncio.to_thread(main, [str(each) for each in arguments])
    return code, out.getvalue(), err.getvalue()


async def listed(url: str, outbox: Path | None = None) -> list[dict[str, Any]]:
    code, out, err = await db(url, "refused", "list", "--json", outbox=outbox)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
async def strict(pg: Connection) -> AsyncIterator[Connection]:
    """The database of a team that has added a rule of its own."""
    await pg.execute(STRICT)
    yield pg
    await pg.execute("drop trigger if exists no_bad on voice_messages")


async def test_what_was_refused_is_stored_when_its_reason_is_gone(
    tmp_path: Path, dsn: str, strict: Connection
) -> None:
    header = started()
    row = await pending_row(strict, header.room_name)
    bad = message("bad words", role="assistant", speech_id="speech_1", tokens=7)
    cost = usage(7, message_id=bad.id, speech_id="speech_1")
    async with shipping(tmp_path, dsn) as (_, directory):
        path = write(directory.path, header, message("first"), bad, cost, message("last"), ended())
    assert await stored(strict) == ["first", "last"]
    (told,) = await listed(dsn)
    assert told["call_id"] == str(row)
    assert told["call_key"] == str(header.key)
    assert (told["where"], told["sqlstate"]) == ("table", "22000")
    assert told["id"].startswith(f"{path.name}@")

    code, out, _ = await db(dsn, "refused", "retry", "--call", row)
    assert (code, out.splitlines()[-1]) == (1, "0 stored, 0 deleted, 1 stays")
    await strict.execute("drop trigger no_bad on voice_messages")
    assert (await db(dsn, "refused", "retry", "--id", told["id"]))[:2] == (
        0,
        "1 stored, 0 deleted, 0 stays\n",
    )
    assert await listed(dsn) == []
    assert sorted(await stored(strict)) == ["bad words", "first", "last"]
    call = await call_of(strict, row)
    assert (call["status"], call["end_reason"]) == ("completed", "caller_hangup")
    assert call["total_tokens_used"] == 7  # and not once more for a request without its turn
    assert await strict.fetchval("select message_id from voice_usage") == bad.id


async def test_a_file_of_a_refused_event_is_listed_and_goes_when_it_is_stored(
    tmp_path: Path, dsn: str, strict: Connection
) -> None:
    await strict.execute("revoke insert on voice_worker.refused_events from voice_worker")
    async with shipping(tmp_path, dsn) as (_, directory):
        write(directory.path, started(), message("bad words"), ended())
    (path,) = files_under(tmp_path)
    (told,) = await listed(dsn, tmp_path)
    assert told["where"] == str(path)
    before = read_file(path)
    assert (await db(dsn, "refused", "retry", "--all", outbox=tmp_path))[0] == 1
    again = read_file(path)
    assert (again.raw, again.header) == (before.raw, before.header)
    assert again.refused_at > before.refused_at
    await strict.execute("drop trigger no_bad on voice_messages")
    assert (await db(dsn, "refused", "retry", "--all", "--outbox", tmp_path))[0] == 0
    assert files_under(tmp_path) == []
    assert await stored(strict) == ["bad words"]


async def test_what_its_owner_has_deleted_is_dropped_and_damage_stays(
    tmp_path: Path, dsn: str, strict: Connection
) -> None:
    async with shipping(tmp_path, dsn) as (_, directory):
        deleted = started()
        write(directory.path, deleted, message("bad words"), ended())
        damaged = write(tmp_path, started(), message("a"), ended())
        damaged.write_bytes(damaged.read_bytes() + b"\x1b[31m#noise\n")
        damaged.rename(directory.path / damaged.name)
    await strict.execute("delete from voice_calls where id = $1", deleted.key)
    code, out, _ = await db(dsn, "refused", "retry", "--all")
    assert (code, out.splitlines()[-1]) == (1, "0 stored, 0 deleted, 1 stays")
    assert await stored(strict) == ["a"]
    code, out, _ = await db(dsn, "refused", "list")
    assert (code, out.splitlines()[-1]) == (0, "1 refused")
    assert "bad checksum or unknown event" in out


async def test_a_row_of_an_early_version_finds_its_call_again(
    tmp_path: Path, dsn: str, strict: Connection
) -> None:
    header = started()
    row = await pending_row(strict, header.room_name)
    async with shipping(tmp_path, dsn) as (_, directory):
        write(directory.path, header, message("bad words"), ended())
    await strict.execute(
        "update voice_worker.refused_events set call_id = call_key, call_key = null, header = null"
    )
    migration = (PROJECT / "migrations" / "102_bring_over.sql").read_text()
    await strict.execute(migration.partition("-- migrate:down")[0])
    found = await strict.fetchrow("select call_id, call_key from voice_worker.refused_events")
    assert found is not None
    assert tuple(found) == (row, header.key)
    await strict.execute("drop trigger no_bad on voice_messages")
    assert (await db(dsn, "refused", "retry", "--all"))[0] == 0
    assert await strict.fetchval("select call_id from voice_messages") == row


async def test_what_does_not_do_is_one_line(
    tmp_path: Path, dsn: str, empty_database_url: str
) -> None:
    assert (await db("", "refused", "list"))[0] == 2
    assert (await db(empty_database_url, "refused", "list"))[0] == 2
    code, _, err = await db(dsn, "refused", "list", "--outbox", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = await db(dsn, "refused", "retry", "--id", "a@1")
    assert (code, err) == (1, "error: no such refused event: see `refused list`\n")
