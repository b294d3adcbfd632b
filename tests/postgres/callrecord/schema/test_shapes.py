"""Whatever shape a basic schema has: it is refused and left as it was, or all of it comes over."""

import subprocess
from collections.abc import AsyncIterator

import asyncpg
import pytest

from callrecord.schema.migrate import MIGRATIONS, MigrationError, migrate
from callrecord.schema.set_aside import DropError, drop_before
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.by_psql import apply_with_psql
from tests.postgres.callrecord.schema.catalogue import Catalogue, catalogue
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.callrecord.schema.shapes import HERE, change, lost, paragraphs, read_old
from tests.postgres.server import Connection, psql

pytestmark = pytest.mark.every_postgres


@pytest.fixture
async def basic(empty_database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database of our own basic schema with 24 calls."""
    apply_seed(empty_database_url, "users")
    psql(empty_database_url, "-f", str(MIGRATIONS / "010_voice_calls.sql"))
    apply_seed(empty_database_url, "basic_rows")
    apply_seed(empty_database_url, "fewer_rows")
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def whole(url: str) -> Catalogue:
    """Return the catalogue, but for the schema in which dbmate keeps what it has applied."""
    found = await catalogue(url)
    return {name: text for name, text in found.items() if name != "schema voice_worker"}


@pytest.mark.parametrize("seed", range(10))
async def test_it_is_refused_or_nothing_is_lost(
    basic: Connection, empty_database_url: str, seed: int
) -> None:
    changes = await change(basic, seed)
    old, before = await read_old(basic), await whole(empty_database_url)
    await basic.reset()
    try:
        await migrate(empty_database_url)
    except MigrationError as refused:
        error = str(refused)
    else:
        assert await lost(basic, old) == [], changes
        await drop_again(empty_database_url, needed="long_calls" in str(changes))
        return
    assert error.endswith("; nothing was changed"), changes
    assert len(error.splitlines()) == 1, changes
    assert await read_old(basic) == old, changes
    assert await whole(empty_database_url) == before, changes


async def drop_again(url: str, *, needed: bool) -> None:
    """Drop the old tables: their rows are known to be in public, whatever shape they had."""
    if needed:
        with pytest.raises(DropError, match="view long_calls depends on"):
            await drop_before(url)
    else:
        await drop_before(url)


REFUSED = [
    each.removeprefix("-- ").split("\n", maxsplit=1)
    for each in paragraphs(HERE.with_name("shapes_refused.sql"))
]


@pytest.mark.parametrize(("told", "shape"), REFUSED, ids=[told[:50] for told, _ in REFUSED])
async def test_what_cannot_come_over_is_told_in_one_line(
    basic: Connection, empty_database_url: str, told: str, shape: str
) -> None:
    await basic.execute(shape)
    old, before = await read_old(basic), await whole(empty_database_url)
    code, output, errors = await run(empty_database_url, "migrate")
    assert (code, output) == (1, "")
    assert errors.startswith("error: 011_set_basic_aside.sql: ")
    assert told in errors
    assert errors.endswith("; nothing was changed\n")
    assert len(errors.splitlines()) == 1
    assert (await read_old(basic), await whole(empty_database_url)) == (old, before)
    with pytest.raises(subprocess.CalledProcessError):
        apply_with_psql(empty_database_url, "-1")
    assert (await read_old(basic), await whole(empty_database_url)) == (old, before)


async def test_rows_that_are_hidden_from_their_owner_are_not_left_behind(
    basic: Connection, empty_database_url: str
) -> None:
    await basic.execute(
        """
        create role shapes_owner login createrole password 'x';
        alter table voice_calls owner to shapes_owner;
        alter table call_participants owner to shapes_owner;
        alter table users owner to shapes_owner;
        alter schema public owner to shapes_owner;
        alter table voice_calls enable row level security, force row level security;
        """
    )
    name = await basic.fetchval("select quote_ident(current_database())")
    await basic.execute(f"alter database {name} owner to shapes_owner")
    url = f"postgresql://shapes_owner:x@{empty_database_url.partition('@')[2]}"
    try:
        with pytest.raises(MigrationError, match="row level security hides rows of voice_calls"):
            await migrate(url)
        await basic.execute("alter table voice_calls no force row level security")
        await migrate(url)
        assert await basic.fetchval("select count(*) from voice_calls") == 24
        await drop_before(url)
    finally:
        await basic.execute("reassign owned by shapes_owner to current_user")
        await basic.execute("drop owned by shapes_owner; drop role shapes_owner")


@pytest.mark.parametrize("legs", [(), ("third_shape_legs",)], ids=["no legs", "legs"])
async def test_the_third_shape_in_the_wild(empty_database_url: str, legs: tuple[str, ...]) -> None:
    apply_seed(empty_database_url, "users", "third_shape", *legs)
    connection = await asyncpg.connect(empty_database_url)
    try:
        await migrate(empty_database_url)
        found = await connection.fetch(
            """
            select session_id, status::text, end_reason, duration_seconds,
                metadata ->> 'basic_status' as before
            from voice_calls
            where user_id = '00000000-0000-4000-8000-000000000003'
            and started_at = '2026-01-02 03:04:05+00' and connected_at is null
            and metadata @> '{"plan": "gold", "tenant": 7}' order by 1
            """
        )
        assert [tuple(row) for row in found] == [
            ("a", "failed", "not_served", 0, "active"),
            ("b", "completed", None, 60, "in-progress"),
            ("c", "completed", None, 60, "ended"),
            ("d", "failed", "error", None, "error"),
            ("e", "pending", None, None, None),
        ]
        came = "select count(*) from call_participants where joined_at = '2026-01-02 03:04:05+00'"
        assert await connection.fetchval(came) == (5 if legs else 0)
        code, output, _ = await run(empty_database_url, "migrate", "--drop-before")
        assert (code, output.splitlines()[-1]) == (0, "dropped")
    finally:
        await connection.close()
