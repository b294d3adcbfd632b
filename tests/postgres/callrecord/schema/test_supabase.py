"""The first hour of a Supabase project: migrate, sign up, start a call, watch it.

Its `postgres` is no superuser and does not own auth.users, into which the sign-in service writes.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.schema import migrate as module
from callrecord.schema.migrate import migrate
from tests.postgres.callrecord.schema.by_psql import PSQL_ROUTINES, UNINSTALL
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.rows import add_leg, add_message
from tests.postgres.server import Connection, as_user, psql
from tests.waiting import until

pytestmark = pytest.mark.every_postgres

WATCHED = {"call_participants", "voice_calls", "voice_messages"}
OTHER = "update voice_worker.schema_version set routines = 'other'"
TRIGGERS = "select count(*) from pg_trigger where tgname = 'zz_voice_users_trigger'"


@dataclass(frozen=True)
class Project:
    """A Supabase project.

    Attributes:
        url: Of its `postgres`, who migrates.
        admin: A connection of its superuser, whom nobody else has.
    """

    url: str
    admin: Connection

    async def owner(self) -> str:
        """Return the name of who migrates."""
        name: str = await self.admin.fetchval(
            "select datdba::regrole::text from pg_database where datname = current_database()"
        )
        return name

    async def migrate_again(self) -> None:
        """Migrate as with the next release."""
        await self.admin.execute(OTHER)
        assert (await migrate(self.url)).routines

    async def sign_in_service(self, statement: str, *values: object) -> None:
        """Write auth.users as the sign-in service does."""
        await self.admin.execute("set role supabase_auth_admin")
        try:
            await self.admin.execute(statement, *values)
        finally:
            await self.admin.execute("reset role")

    async def sign_up(self, email: str | None = None, told: str | None = None) -> UUID:
        """Have somebody sign up; return the id."""
        user = uuid4()
        await self.sign_in_service(
            "insert into auth.users (id, email, raw_user_meta_data, is_sso_user) "
            "values ($1, $2, $3, true)",
            *(user, email, told),
        )
        return user

    async def row(self, user: UUID) -> tuple[object, ...] | None:
        """Return name, e-mail and role of public.users."""
        found = await self.admin.fetchrow(
            "select name, email, role from public.users where id = $1", user
        )
        return None if found is None else tuple(found)

    async def published(self) -> set[str]:
        """Return the tables whose changes Realtime sends."""
        rows = await self.admin.fetch(
            "select tablename from pg_publication_tables where pubname = 'supabase_realtime'"
        )
        return {row["tablename"] for row in rows}


@pytest.fixture
async def unmigrated(owner_url: str, empty_database_url: str) -> AsyncIterator[Project]:
    """A project as it is made."""
    apply_seed(empty_database_url, "supabase", "supabase_project")
    admin = await asyncpg.connect(empty_database_url)
    try:
        yield Project(owner_url, admin)
    finally:
        await admin.close()


@pytest.fixture
async def project(unmigrated: Project) -> Project:
    """One that was migrated."""
    await migrate(unmigrated.url)
    return unmigrated


async def start_call(project: Project, user: UUID) -> UUID:
    """Insert a call as the documented route does, as the signed-in user."""
    async with as_user(project.admin, user):
        call: UUID = await project.admin.fetchval(
            "insert into voice_calls (user_id, session_id, room_name, ai_agent_used) "
            "values ($1, $2, 'Support Call', true) returning id",
            *(user, f"call-{user}-1"),
        )
    return call


async def test_whoever_signs_up_starts_a_call_and_reads_it_alone(project: Project) -> None:
    ann = await project.sign_up("ann@example.org", '{"full_name": "Ann", "role": "admin"}')
    eve = await project.sign_up("eve@example.org", '{"name": "Eve", "full_name": ""}')
    assert await project.row(ann) == ("Ann", "ann@example.org", "user")
    assert await project.row(eve) == ("Eve", "eve@example.org", "user")
    call = await start_call(project, ann)
    for user, seen in ((ann, 1), (eve, 0)):
        async with as_user(project.admin, user):
            assert await project.admin.fetchval("select count(*) from voice_calls") == seen
            await project.admin.execute("select * from active_calls_summary")
            assert await project.admin.fetchval("select count(*) from public.users") == 1
    await add_message(project.admin, call)


async def test_who_had_signed_up_before_is_brought_over_once(unmigrated: Project) -> None:
    ann = await unmigrated.sign_up("ann@example.org", '{"name": "Ann"}')
    twin = await unmigrated.sign_up("ann@example.org", '"no object"')
    by_phone = [await unmigrated.sign_up(mail) for mail in (None, "", "")]
    await migrate(unmigrated.url)
    rows = [await unmigrated.row(user) for user in (ann, twin)]
    assert sorted(map(str, rows)) in (
        ["('Ann', 'ann@example.org', 'user')", "(None, None, 'user')"],
        ["('Ann', None, 'user')", "(None, 'ann@example.org', 'user')"],
    )
    assert [await unmigrated.row(user) for user in by_phone] == [(None, None, "user")] * 3
    await unmigrated.admin.execute("delete from public.users where id = $1", ann)
    await unmigrated.migrate_again()
    assert await unmigrated.row(ann) is None
    assert await unmigrated.admin.fetchval(TRIGGERS) == 1


async def test_users_are_brought_over_some_at_a_time_and_hold_nobody_up(
    unmigrated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that somebody else holds keeps the rest waiting, and neither sign-ups nor calls."""
    before = sorted([await unmigrated.sign_up(f"u{number}@example.org") for number in range(5)])
    monkeypatch.setattr(module, "USERS_AT_ONCE", 2)
    with monkeypatch.context() as stopped:
        stopped.setattr(module, "_bring_auth_users", AsyncMock())  # killed before the first
        await migrate(unmigrated.url)
    assert await unmigrated.admin.fetchval("select count(*) from public.users") == 0
    other = await asyncpg.connect(unmigrated.url)
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("insert into public.users (id) values ($1)", before[-1])
        bringing = asyncio.create_task(migrate(unmigrated.url))
        await until(lambda: unmigrated.row(before[3]), what="the users before it")
        await unmigrated.admin.execute("set lock_timeout = '1s'")
        await start_call(unmigrated, await unmigrated.sign_up("new@example.org"))
        assert not bringing.done()
        await transaction.rollback()
        await bringing
    finally:
        await other.close()
    assert all([await unmigrated.row(user) for user in before])
    await unmigrated.admin.execute("delete from public.users where id = $1", before[0])
    await unmigrated.migrate_again()
    assert await unmigrated.row(before[0]) is None, "brought over twice"


async def test_a_row_follows_name_and_email_and_keeps_what_a_team_set(project: Project) -> None:
    ann = await project.sign_up("ann@example.org", '{"name": "Ann"}')
    await project.admin.execute("update public.users set name = 'A.', role = 'admin'")
    change = "update auth.users set email = $2, raw_user_meta_data = $3 where id = $1"
    await project.sign_in_service(change, ann, "ann@example.net", '{"name": "Ann", "seen": 2}')
    assert await project.row(ann) == ("A.", "ann@example.net", "admin")
    await project.sign_in_service(change, ann, "ann@example.net", '{"name": "Anna"}')
    assert await project.row(ann) == ("Anna", "ann@example.net", "admin")
    await project.sign_up("bob@example.org")
    await project.sign_in_service(change, ann, "bob@example.org", '{"name": "Anna"}')
    assert await project.row(ann) == ("Anna", None, "admin")
    await project.admin.execute("delete from public.users")
    await project.sign_in_service(change, ann, "a@example.org", "{}")
    assert await project.row(ann) == (None, "a@example.org", "user")


async def test_whoever_is_deleted_leaves_the_calls_as_they_were(project: Project) -> None:
    ann = await project.sign_up("ann@example.org", '{"name": "Ann"}')
    call = await start_call(project, ann)
    await project.admin.execute("update public.users set role = 'admin'")
    await project.sign_in_service("delete from auth.users where id = $1", ann)
    assert await project.row(ann) == (None, None, "user")
    owner = "select user_id from voice_calls where id = $1"
    assert await project.admin.fetchval(owner, call) == ann
    again = await project.sign_up("ann@example.org")
    assert await project.row(again) == (None, "ann@example.org", "user")
    await project.admin.execute("delete from public.users where id = $1", ann)
    found = await project.admin.fetchrow(owner, call)
    assert found is not None
    assert found["user_id"] is None


async def test_no_sign_up_ever_fails(project: Project) -> None:
    await project.sign_up("ann@example.org")
    assert await project.row(await project.sign_up("ann@example.org")) == (None, None, "user")
    named = await project.sign_up(None, '{"full_name": "' + "x" * 999 + '"}')
    assert await project.row(named) == ("x" * 255, None, "user")
    await project.admin.execute("alter table public.users add check (name is not null) not valid")
    assert await project.row(await project.sign_up("bob@example.org")) is None
    await project.admin.execute("alter table public.users rename column email to mail")
    await project.sign_up("eve@example.org", '{"name": "Eve"}')
    assert await project.admin.fetchval("select count(*) from auth.users") == 5


async def test_a_trigger_of_the_teams_own_may_write_the_same_row(project: Project) -> None:
    await project.admin.execute(
        """
        create function public.handle_new_user() returns trigger
        language plpgsql security definer set search_path = '' as $$
        begin
            insert into public.users (id, name, role) values (new.id, 'by the team', 'admin');
            return new;
        end $$;
        create trigger on_auth_user_created after insert on auth.users
            for each row execute function public.handle_new_user();
        """
    )
    ann = await project.sign_up("ann@example.org", '{"name": "Ann"}')
    assert await project.row(ann) == ("by the team", None, "admin")


async def test_what_is_left_out_stays_out(project: Project) -> None:
    owner = await asyncpg.connect(project.url)
    try:
        await owner.execute(
            "alter publication supabase_realtime drop table voice_messages;"
            "comment on function voice_worker.left_out() is 'auth_users, voice_messages'"
        )
        ann = await project.sign_up("ann@example.org")
        await project.migrate_again()
        assert await project.row(ann) is None
        assert await project.published() == WATCHED - {"voice_messages"}
        await owner.execute("alter publication supabase_realtime drop table voice_calls")
        await project.migrate_again()
        assert await project.published() == WATCHED - {"voice_messages"}
        await owner.execute(
            "alter publication supabase_realtime drop table voice_calls, call_participants;"
            "comment on function voice_worker.left_out() is 'realtime'"
        )
        await project.migrate_again()
        assert await project.published() == set()
        bob = await project.sign_up("bob@example.org")  # the trigger was there all the time
        assert await project.row(bob) == (None, "bob@example.org", "user")
        await owner.execute("comment on function voice_worker.left_out() is null")
        await project.migrate_again()
        assert await project.published() == WATCHED
    finally:
        await owner.close()


async def test_an_owner_who_sees_no_row_of_auth_users_is_told(
    unmigrated: Project, caplog: pytest.LogCaptureFixture
) -> None:
    me = await unmigrated.owner()
    await unmigrated.sign_up("ann@example.org")
    await unmigrated.admin.execute(f"alter role {me} nobypassrls")
    with caplog.at_level(logging.WARNING, "voice.migrate"):
        await migrate(unmigrated.url)
    assert ["make it bypassrls" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("columns", ["id uuid primary key, name text, email text, role text", ""])
async def test_a_table_of_users_of_the_teams_own_is_not_written(
    unmigrated: Project, columns: str
) -> None:
    owner = await asyncpg.connect(unmigrated.url)
    try:
        if columns:
            await owner.execute(f"create table public.users ({columns})")
        else:
            await migrate(unmigrated.url)
            await owner.execute("drop trigger if exists zz_voice_users_trigger on auth.users")
            await owner.execute("alter table public.users add company text")
    except asyncpg.InsufficientPrivilegeError:  # Supabase's own extension lets him drop it
        await unmigrated.admin.execute("drop trigger zz_voice_users_trigger on auth.users")
        await owner.execute("alter table public.users add company text")
    finally:
        await owner.close()
    await (migrate(unmigrated.url, as_is=True) if columns else unmigrated.migrate_again())
    assert await unmigrated.admin.fetchval(TRIGGERS) == 0
    assert await unmigrated.published() == WATCHED


async def test_what_the_owner_may_not_do_is_a_warning_that_says_who_can(
    unmigrated: Project, caplog: pytest.LogCaptureFixture
) -> None:
    me = await unmigrated.owner()
    await unmigrated.admin.execute(
        f"revoke trigger on auth.users from {me};"
        "alter publication supabase_realtime owner to current_user"
    )
    with caplog.at_level(logging.WARNING, "voice.migrate"):
        await migrate(unmigrated.url)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert f"{me} may not make a trigger on auth.users" in said[0]
    assert "grant it usage on schema auth, and trigger and select on auth.users" in said[0]
    assert said[1].endswith(
        "may run: alter publication supabase_realtime add table public.call_participants, "
        "public.voice_calls, public.voice_messages"
    )
    ann = await unmigrated.sign_up("ann@example.org")
    assert await unmigrated.row(ann) is None
    await unmigrated.admin.execute(said[1].rpartition("may run: ")[2])
    await unmigrated.admin.execute(f"grant trigger on auth.users to {me}")
    psql(unmigrated.url, "-f", str(PSQL_ROUTINES))
    assert await unmigrated.row(ann) == (None, "ann@example.org", "user")
    assert await unmigrated.published() == WATCHED


@pytest.mark.parametrize("tables", ["for all tables", "for tables in schema public", "some"])
async def test_a_publication_that_has_the_tables_is_left_alone(
    unmigrated: Project, tables: str
) -> None:
    given = "for table public.mine, public.voice_calls" if tables == "some" else tables
    await migrate(unmigrated.url)
    await unmigrated.admin.execute(
        "create table public.mine (id int primary key);"
        f"drop publication supabase_realtime; create publication supabase_realtime {given}"
    )
    await unmigrated.migrate_again()
    if tables == "some":  # it is the superuser's now
        assert await unmigrated.published() == {"mine", "voice_calls"}
    else:
        assert await unmigrated.published() > WATCHED
        own = "select count(*) from pg_publication_rel"
        assert await unmigrated.admin.fetchval(own) == 0


async def test_realtime_shows_a_row_to_whom_the_policies_show_it(project: Project) -> None:
    """Its server asks so, for each subscriber of a table: as his role, with his claims."""
    ann, bob, eve = [await project.sign_up(f"{name}@example.org") for name in ("a", "b", "e")]
    call = await start_call(project, ann)
    leg = await add_leg(project.admin, call, bob, "bob")
    message = await add_message(project.admin, call)
    rows = {"voice_calls": call, "call_participants": leg, "voice_messages": message}
    assert rows.keys() == await project.published()
    for table, row in rows.items():
        for user, seen in ((ann, True), (bob, True), (eve, False)):
            async with as_user(project.admin, user):
                shown = f"select exists (select from public.{table} where id = $1)"  # noqa: S608
                assert await project.admin.fetchval(shown, row) == seen
        columns = await project.admin.fetchval(
            "select bool_and(has_column_privilege('authenticated', attrelid, attnum, 'select')) "
            "from pg_attribute where attrelid = $1::text::regclass and attnum > 0",
            f"public.{table}",
        )
        assert columns


async def test_taking_it_out_leaves_supabase_as_it_was(project: Project) -> None:
    ann = await project.sign_up("ann@example.org")
    await start_call(project, ann)
    psql(project.url, "-f", str(UNINSTALL))
    assert await project.published() == set()
    assert await project.admin.fetchval(TRIGGERS) == 0
    bob = await project.sign_up("bob@example.org")
    assert await project.row(bob) is None
    assert await project.admin.fetchval("select count(*) from voice_calls") == 1
    await migrate(project.url)
    assert await project.published() == WATCHED
    assert await project.row(bob) == (None, "bob@example.org", "user")
