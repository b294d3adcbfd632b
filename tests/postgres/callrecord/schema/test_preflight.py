"""What migrate refuses before it has changed or locked anything, and what it mends."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from callrecord.schema.holes import find_holes
from callrecord.schema.migrate import MigrationError, migrate
from local.places import PROJECT
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.catalogue import catalogue
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.callrecord.schema.version_99 import restore_version_99
from tests.postgres.people import People
from tests.postgres.pgbouncer import pgbouncer
from tests.postgres.server import DEBIAN_15, Connection, as_role, as_user, embedded_18, psql, server

pytestmark = pytest.mark.every_postgres

OPEN = "create policy {name} on {table} for {verb} using (true)"
ADMIN = "update users set role = 'admin' where id = $1"


async def run_refused(url: str, *words: str) -> str:
    """Run migrate, which refuses in one line with exit code 2 and changes nothing."""
    before = await catalogue(url)
    code, output, errors = await run(url, "migrate")
    assert (code, output) == (2, "")
    assert errors.count("\n") == 1
    for each in words:
        assert each in errors
    assert await catalogue(url) == before
    return errors


@pytest.mark.parametrize("table", ["voice_calls", "voice_messages", "call_participants"])
async def test_a_policy_that_opens_a_table_is_refused_or_taken_out(
    pg: Connection, people: People, database_url: str, table: str
) -> None:
    """As a script makes it for service_role, and gives it to everybody."""
    await pg.execute(OPEN.format(name="service", table=table, verb="all"))
    async with as_user(pg, people.eve):
        assert await pg.fetchval(f"select count(*) from {table}") > 0  # noqa: S608
    await run_refused(
        database_url,
        f'policy "service" on {table} lets everybody read and change every row',
        "--mend",
    )
    code, output, errors = await run(database_url, "status")
    assert code == 1
    assert f'policy "service" on {table}' in output + errors
    code, _, errors = await run(database_url, "migrate", "--as-is")
    assert code == 0
    assert "lets everybody" in errors
    code, _, errors = await run(database_url, "migrate", "--mend")
    assert code == 0
    assert "removed: " in errors
    async with as_user(pg, people.eve):
        of_call = "id" if table == "voice_calls" else "call_id"
        rows = f"select count(*) from {table} where {of_call} = $1"  # noqa: S608
        assert await pg.fetchval(rows, people.call) == 0
    assert await find_holes(pg) == []
    assert (await run(database_url, "migrate"))[0] == 0


async def test_a_policy_with_a_condition_is_listed_and_stays(
    pg: Connection, database_url: str
) -> None:
    await pg.execute(
        "create policy staff on voice_calls for select to authenticated using (room_name = 'x')"
    )
    code, _, errors = await run(database_url, "migrate")
    assert code == 0
    assert 'policy "staff" on voice_calls lets users do more' in errors
    for role in ("voice_reader", "service_role"):
        await pg.execute(f"create policy of_{role} on voice_calls to {role} using (true)")
    await pg.execute("create policy narrow on voice_calls as restrictive for select using (true)")
    (staff,) = await find_holes(pg)
    assert not staff.severe


@pytest.fixture
async def team(empty_database_url: str) -> AsyncIterator[Connection]:
    """A Supabase project with a table of users of the team's own."""
    apply_seed(empty_database_url, "supabase", "users")
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def make_oneself_admin(pg: Connection, role: str = "authenticated") -> int:
    """Return how many rows a user of the seed can make an admin."""
    who = "00000000-0000-4000-8000-000000000002"
    try:
        async with as_role(pg, role, {"sub": who, "role": role}):
            status = await pg.execute(ADMIN, who)
    except asyncpg.InsufficientPrivilegeError:
        await pg.execute("reset role")
        return 0
    return int(status.split()[1])


@pytest.mark.parametrize("how", ["without row level security", "one's own profile", "open"])
async def test_nobody_makes_himself_an_admin_or_reads_others_after_mending(
    team: Connection, empty_database_url: str, how: str
) -> None:
    """Supabase grants everything in public to everybody."""
    if how != "without row level security":
        await team.execute("alter table users enable row level security")
        await team.execute(
            "create policy own on users for update to authenticated using (id = auth.uid())"
        )
        seen = "true" if how == "open" else "id = auth.uid()"
        await team.execute(
            f"create policy seen on users for select to authenticated using ({seen})"
        )
    assert await make_oneself_admin(team) == 1
    await team.execute("update users set role = 'user' where name = 'user2'")
    await run_refused(empty_database_url, "update of users.role lets a user make himself an admin")
    assert (await run(empty_database_url, "migrate", "--mend"))[0] == 0
    for role in ("authenticated", "anon"):
        assert await make_oneself_admin(team, role) == 0
    async with as_role(team, "authenticated", {"sub": "00000000-0000-4000-8000-000000000002"}):
        assert await team.fetchval("select count(*) from users") == 1
        if how != "without row level security":
            assert await team.execute("update users set name = 'me'") == "UPDATE 1"
    assert await find_holes(team) == []
    assert (await run(empty_database_url, "migrate"))[0] == 0


async def test_a_role_that_a_policy_pins_is_no_hole(
    team: Connection, empty_database_url: str
) -> None:
    await team.execute("alter table users enable row level security")
    await team.execute(
        "create policy own on users to authenticated "
        "using (id = auth.uid()) with check (id = auth.uid() and role = 'user')"
    )
    assert await find_holes(team) == []
    assert (await run(empty_database_url, "migrate"))[0] == 0


@pytest.fixture
def programs() -> Path:
    """Programs of some version."""
    found = embedded_18() or DEBIAN_15
    if not found.exists():
        pytest.skip("no Postgres")
    return found


@pytest.fixture
async def plain_owner(empty_database_url: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of a login that owns its database, and may make no roles; they are there."""
    assert migrated_template
    name, password = f"owner_{uuid4().hex[:8]}", secrets.token_urlsafe(8)
    admin = await asyncpg.connect(empty_database_url)
    database = urlsplit(empty_database_url).path[1:]
    await admin.execute(f"create role {name} login password '{password}'")
    await admin.execute(f"alter database {database} owner to {name}")
    parts = urlsplit(empty_database_url)
    yield parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl()
    await admin.execute(f"drop owned by {name}")
    await admin.execute(f"alter database {database} owner to postgres")
    await admin.execute(f"drop role {name}")
    await admin.close()


async def test_an_owner_who_may_make_no_roles_is_told_of_the_administrators_file(
    plain_owner: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roles are there on this server, so the file is tried for what it grants."""
    monkeypatch.setenv("PGOPTIONS", "")
    owner = urlsplit(plain_owner).username
    assert (await migrate(plain_owner)).version
    login = f"worker_{uuid4().hex[:8]}"
    admin = await asyncpg.connect(empty_database_url)
    connection = await asyncpg.connect(plain_owner)
    try:
        await admin.execute(f"create role {login} login inherit")
        with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
            await connection.execute("select voice_worker.enlist($1)", login)
        assert f'grant voice_worker to "{login}"' in (refused.value.hint or "")
        for statement in (refused.value.hint or "").split(": ", 1)[1].split("; "):
            await admin.execute(statement)
        assert await admin.fetchval("select pg_has_role($1, 'voice_worker', 'usage')", login)
    finally:
        await connection.close()
        await admin.execute(f"drop role {login}")
        await admin.close()
    psql(empty_database_url, "-v", f"owner={owner}", "-f", str(PROJECT / "db" / "roles.sql"))
    psql(empty_database_url, "-v", f"owner={owner}", "-f", str(PROJECT / "db" / "roles.sql"))


async def test_tables_of_somebody_else_are_left_alone(
    pg: Connection, database_url: str, plain_owner: str
) -> None:
    parts, owner = urlsplit(database_url), urlsplit(plain_owner)
    url = parts._replace(netloc=owner.netloc).geturl()
    await pg.execute(f"grant connect, create on database {parts.path[1:]} to {owner.username}")
    await pg.execute(f"grant usage on schema voice_worker to {owner.username}")
    await pg.execute(f"grant select on voice_worker.schema_version to {owner.username}")
    try:
        await run_refused(url, "does not own", "voice_calls")
    finally:
        await pg.execute(f"drop owned by {owner.username}")


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_pooler_in_transaction_mode_is_refused_before_any_lock(
    empty_database_url: str, mode: str
) -> None:
    with pgbouncer(empty_database_url, mode) as url:  # type: ignore[arg-type]
        if mode == "session":
            assert (await migrate(url)).version
            return
        code, _, errors = await run(url, "migrate")
    assert code == 2
    assert "pooler in transaction mode" in errors
    assert (await migrate(empty_database_url)).version


async def test_a_long_transaction_holds_migrate_up_and_nobody_behind_it(
    empty_database_url: str, migrated_template: str
) -> None:
    """Its holder is named; others read on, and so does migrate when it has ended."""
    assert migrated_template
    restore_version_99(empty_database_url)
    holder, reader = [await asyncpg.connect(empty_database_url) for _ in range(2)]
    longest = 0.0
    try:
        transaction = holder.transaction()
        await transaction.start()
        await holder.fetch("select from voice_messages limit 1")
        pid = holder.get_server_pid()
        with pytest.raises(MigrationError, match=rf"pid {pid} \(login postgres"):
            await migrate(empty_database_url, patience_s=0)
        going = asyncio.create_task(migrate(empty_database_url, patience_s=60))
        loop = asyncio.get_running_loop()
        for _ in range(40):
            began = loop.time()
            await reader.fetch("select from voice_messages limit 1")
            longest = max(longest, loop.time() - began)
            await asyncio.sleep(0.1)  # a reader's pace
        assert not going.done()
        await transaction.rollback()
        await going
    finally:
        await holder.close()
        await reader.close()
    assert longest < 5  # two seconds, and what a busy machine adds


@pytest.mark.parametrize("gone", ["call_status", "message_role"])
async def test_columns_that_a_script_has_dropped_are_named(
    pg: Connection, database_url: str, gone: str
) -> None:
    """As the file of the replaced schema does, run again: it drops its types with cascade."""
    await pg.execute(f"drop type {gone} cascade")
    column = "voice_calls.status" if gone == "call_status" else "voice_messages.role"
    await run_refused(database_url, f"columns are missing: {column};", "backup")
    code, _, errors = await run(database_url, "status")
    assert code == 2
    assert column in errors


@pytest.mark.parametrize(
    "statement",
    [
        "drop trigger voice_usage_keep_trigger on voice_usage",
        "drop policy voice_calls_select_own on voice_calls",
        "drop view call_analytics",
        "drop function voice_worker.beat",
        "drop function latency_statistics",
    ],
)
async def test_what_somebody_has_dropped_since_is_made_again(
    pg: Connection, database_url: str, statement: str
) -> None:
    whole = await catalogue(database_url)
    assert not (await migrate(database_url)).routines
    await pg.execute(statement)
    assert await catalogue(database_url) != whole
    assert (await migrate(database_url)).routines
    assert await catalogue(database_url) == whole
    assert not (await migrate(database_url)).routines


async def test_roles_that_are_missing_are_the_administrators_to_make(
    programs: Path,
) -> None:
    """On a server that has never heard of us."""
    with server(programs) as admin_url:
        admin = await asyncpg.connect(admin_url)
        await admin.execute("create role plain login password 'plain'")
        await admin.execute("create role my_worker login inherit")
        await admin.execute("create database voice owner plain")
        parts = urlsplit(admin_url)
        at = f"plain:plain@{parts.hostname}:{parts.port}"
        url = parts._replace(netloc=at, path="/voice").geturl()
        await run_refused(url, "roles anon, authenticated, service_role", "db/roles.sql")
        psql(admin_url, "-v", "owner=plain", "-f", str(PROJECT / "db" / "roles.sql"))
        assert (await migrate(url)).version
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("select voice_worker.enlist('my_worker')")
        member = "select pg_has_role('my_worker', 'voice_worker', 'usage')"
        await connection.execute("grant voice_worker to my_worker")
        assert await connection.fetchval(member)
        await connection.close()
        await admin.close()
