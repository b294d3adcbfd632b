"""`python -m db calls`, as an operator runs it."""

import json
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.reading.recorded import record_call
from tests.postgres.rows import add_call, add_leg, add_user
from tests.postgres.server import Connection


async def listed(url: str, *arguments: str) -> list[str]:
    """Return the lines that the command prints; it has nothing to say on stderr."""
    code, output, errors = await run(url, "calls", *arguments)
    assert (code, errors) == (0, "")
    assert output.isascii()
    assert all(len(line) <= 100 for line in output.splitlines())
    return output.splitlines()


async def ids(url: str, *arguments: str) -> list[UUID]:
    code, output, _ = await run(url, "calls", "--json", *arguments)
    assert code == 0
    return [UUID(each["id"]) for each in json.loads(output)]


async def test_it_lists_the_newest_first(pg: Connection, dsn: str) -> None:
    assert await listed(dsn) == ["no calls"]
    assert await ids(dsn) == []
    ended = await record_call(dsn)
    await pg.execute("update voice_calls set created_at = '2026-03-01 12:00:00.5+00'")
    pending = await add_call(pg)
    names, _, newest, oldest = await listed(dsn)
    assert names.split("  ")[0] == "created (UTC)"
    assert newest.split()[2:] == [str(pending), "pending", "-", "-", "-"]
    assert oldest.split()[:5] == ["2026-03-01", "12:00", str(ended), "completed", "caller_hangup"]
    assert oldest.split()[5:] == ["0:58", "90"]
    assert await ids(dsn) == [pending, ended]


async def test_it_lists_what_was_asked_for(pg: Connection, dsn: str) -> None:
    ann = await add_user(pg, "ann")
    first, second = await add_call(pg, ann, "active"), await add_call(pg, ann)
    await add_call(pg)
    assert await ids(dsn, "--user", str(ann)) == [second, first]
    assert await ids(dsn, "--user", str(ann), "--status", "active") == [first]
    assert await ids(dsn, "--user", str(ann), "--limit", "1") == [second]
    assert await ids(dsn, "--user", str(uuid4())) == []


async def test_active_calls_are_shown_with_who_is_there(
    pg: Connection, database_url: str, dsn: str
) -> None:
    ann = await add_user(pg, "ann")
    call_id = await add_call(pg, ann, "active")
    await add_leg(pg, call_id, ann, "zoe \x1b[2J")
    await add_leg(pg, call_id, None, "agent")
    await add_call(pg, status="active")
    *_, found = await listed(database_url, "--active", "--user", str(ann))
    assert found.split()[-5:] == [str(call_id), "ann", "agent,", "zoe", r"\x1b[2J"]
    assert len(await ids(dsn, "--active")) == 2
    assert len(await ids(dsn, "--active", "--limit", "1")) == 1


async def test_a_time_that_python_does_not_know_spoils_no_list(pg: Connection, dsn: str) -> None:
    """Of a row from before the constraint that refuses such times."""
    ann = await add_user(pg, "ann")
    await pg.execute("alter table voice_calls drop constraint voice_calls_times_check")
    for time in ("infinity", "-infinity", "20000-01-01", "0044-03-15 BC"):
        call_id = await add_call(pg, ann)
        await pg.execute(f"update voice_calls set started_at = '{time}' where id = '{call_id}'")  # noqa: S608
    code, output, _ = await run(dsn, "calls", "--json")
    assert code == 0
    years = [each["started_at"][:4] for each in json.loads(output)]
    assert years == ["0001", "9999", "0001", "9999"]


@pytest.mark.parametrize(
    ("url", "arguments", "code", "complaint"),
    [
        (None, ["calls"], 2, "DATABASE_URL is missing"),
        ("mysql://u:s3cret@127.0.0.1/x", ["calls"], 2, "not the URL of a Postgres"),
        (
            "postgresql://u:s3cret@127.0.0.1/x?sslmode=never",
            ["show", "x"],
            2,
            "invalid option or value",
        ),
        ("postgresql://u:s3cret@127.0.0.1:1/x", ["calls"], 1, "Postgres does not answer"),
        (
            None,
            ["calls", "--user", "7\x1b\n8"],
            2,
            r"--user must be a user's id, a UUID: 7\x1b 8",
        ),
    ],
)
@pytest.mark.filterwarnings("default")
async def test_what_cannot_be_done_is_one_line(
    url: str | None, arguments: list[str], code: int, complaint: str
) -> None:
    found, output, errors = await run(url, *arguments)
    assert (found, output) == (code, "")
    assert complaint in errors
    assert len(errors.splitlines()) == 1
    assert "s3cret" not in errors


async def test_a_number_that_is_none_is_refused() -> None:
    for limit in ("0", "1" * 5000):
        code, _, errors = await run(None, "calls", "--limit", limit)
        assert code == 2
        assert "must be a number from 1 to" in errors


async def test_a_database_without_our_schema_names_the_command(empty_database_url: str) -> None:
    basic = "create table if not exists voice_calls (id uuid primary key, room_name text)"
    for command in (["calls", "--active"], ["show", "x"], ["calls"]):
        code, output, errors = await run(empty_database_url, *command)
        assert (code, output) == (2, "")
        assert "db migrate" in errors
        assert len(errors.splitlines()) == 1
        owner = await asyncpg.connect(empty_database_url)
        await owner.execute(basic)
        await owner.close()


async def test_a_login_without_rights_is_told_how_to_get_them(pg: Connection, dsn: str) -> None:
    login = dsn.partition("://")[2].partition(":")[0]
    await pg.execute(f"revoke voice_worker from {login}")
    for command in (["calls", "--active"], ["show", "x"]):
        code, output, errors = await run(dsn, *command)
        assert (code, output) == (2, "")
        assert "voice_worker.enlist" in errors
        assert len(errors.splitlines()) == 1
