"""Rules of teams that let users in: each was passed over once, or removed wrongly."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.schema.holes import find_holes
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.people import People
from tests.postgres.server import Connection, as_user

pytestmark = pytest.mark.every_postgres

AGAIN = {
    # Which statement of a team, and which of a user it allows.
    "row level security off": (
        "alter table voice_calls disable row level security",
        "select from voice_calls where id = $1",
    ),
    "grant all": (
        "grant all on all tables in schema public to authenticated",
        "truncate voice_calls cascade",
    ),
    "our policy altered": (
        "alter policy voice_calls_select_own on voice_calls using (true)",
        "select from voice_calls where id = $1",
    ),
    "a name that looks like ours": (
        (
            "create policy voice_messages_delete_own on voice_messages for delete to authenticated "
            "using (true); create policy voice_messages_select_all on voice_messages for select "
            "to authenticated using (true)"
        ),
        "delete from voice_messages where call_id = $1",
    ),
    "a column of ours": (
        "grant update (total_tokens_used, cost, user_id) on voice_calls to authenticated",
        None,
    ),
    "a role that authenticated is in": (
        (
            "create role {role}; grant {role} to authenticated; "
            "create policy open on voice_calls to {role} using (true)"
        ),
        "select from voice_calls where id = $1",
    ),
    "a right by a role that authenticated is in": (
        "create role {role}; grant {role} to authenticated; grant all on voice_calls to {role}",
        None,
    ),
    "a view with the owner's rights": (
        (
            "create view all_calls as select * from voice_calls; grant select on all_calls to anon,"
            "authenticated"
        ),
        "select from all_calls where id = $1",
    ),
}


@pytest.mark.parametrize("how", AGAIN)
async def test_migrate_never_passes_over_what_opens_calls(
    pg: Connection, people: People, database_url: str, how: str
) -> None:
    """Migrate mends it, or refuses or names it; never neither."""
    role = f"r_{uuid4().hex}"
    rule, use = AGAIN[how]
    try:
        await pg.execute(rule.format(role=role))
        code, output, errors = await run(database_url, "migrate")
        told = code != 0 or errors != ""
        async with as_user(pg, people.eve), pg.transaction():
            try:
                if use is None:
                    await pg.execute("update voice_calls set total_tokens_used = 7, cost = 7")
                    done = "UPDATE 1"
                else:
                    done = await pg.execute(use, *([people.call] if "$1" in use else []))
            except asyncpg.InsufficientPrivilegeError:
                done = "refused 0"
                raise_ = True
            else:
                raise_ = False
            if raise_:
                return
        assert told or done.endswith(" 0"), f"{done}, and migrate said: {output!r} {errors!r}"
    finally:
        if "{role}" in rule:
            await pg.execute(f"drop owned by {role}")
            await pg.execute(f"drop role {role}")


USERS = {
    "everybody signed in reads all": (
        "create policy seen on users for select using (auth.role() = 'authenticated')",
        "select from users where id <> $1",
    ),
    "everybody signed in reads all, 1=1": (
        "create policy seen on users for select using (1 = 1)",
        "select from users where id <> $1",
    ),
    "whoever has an id reads all": (
        "create policy seen on users for select to authenticated using (auth.uid() is not null)",
        "select from users where id <> $1",
    ),
    "a check that names auth.role()": (
        (
            "create policy own on users for update using (id = auth.uid()) "
            "with check (auth.role() = 'authenticated'); "
            "create policy seen on users for select using (id = auth.uid())"
        ),
        "update users set role = 'admin' where id = $1",
    ),
    "a check that lets the role be anything": (
        (
            "create policy own on users for update using (id = auth.uid()) "
            "with check (id = auth.uid() and role is not null); "
            "create policy seen on users for select using (id = auth.uid())"
        ),
        "update users set role = 'admin' where id = $1",
    ),
    "others' names": (
        (
            "revoke all on users from anon, authenticated; grant update (name, email) on users "
            "to authenticated; create policy edit on users for update using (true)"
        ),
        "update users set email = $1::uuid::text",
    ),
    "others' rows": (
        (
            "create policy gone on users for delete using (true); "
            "create policy seen on users for select using (id = auth.uid()); "
            "revoke update, insert on users from anon, authenticated"
        ),
        "delete from users where $1::uuid is not null and true",
    ),
}


@pytest.mark.parametrize("how", USERS)
async def test_migrate_never_passes_over_what_opens_users(
    empty_database_url: str, how: str
) -> None:
    """Refused (or at least named), as `using (true)` is."""
    apply_seed(empty_database_url, "supabase", "users")
    pg = await asyncpg.connect(empty_database_url)
    who = UUID("00000000-0000-4000-8000-000000000002")
    try:
        await pg.execute(
            "create function auth.role() returns text language sql stable as "
            "$$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb "
            "->> 'role' $$"
        )
        await pg.execute("alter table users enable row level security")
        rule, use = USERS[how]
        await pg.execute(rule)
        code, output, errors = await run(empty_database_url, "migrate")
        async with as_user(pg, who):
            done = await pg.execute(use, who)
        assert code != 0 or "users" in errors, f"{done}, and migrate said: {output!r} {errors!r}"
    finally:
        await pg.close()


async def test_a_role_that_using_pins_is_no_hole(empty_database_url: str) -> None:
    """A false alarm. Without WITH CHECK, Postgres checks the new row by USING too."""
    apply_seed(empty_database_url, "supabase", "users")
    pg = await asyncpg.connect(empty_database_url)
    who = UUID("00000000-0000-4000-8000-000000000002")
    try:
        await pg.execute(
            "alter table users enable row level security; "
            "create policy own on users for update to authenticated "
            "using (id = auth.uid() and role = 'user'); "
            "create policy seen on users for select using (id = auth.uid())"
        )
        async with as_user(pg, who):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pg.execute("update users set role = 'admin' where id = $1", who)
        assert [str(each) for each in await find_holes(pg)] == []
    finally:
        await pg.close()


async def mended(url: str, *rules: str) -> Connection:
    """Return a connection to a team's database after `migrate --mend`."""
    apply_seed(url, "supabase", "users")
    pg = await asyncpg.connect(url)
    await pg.execute(
        "alter table users add plan text default 'free'; "
        "alter table users enable row level security; "
        "create policy own on users using (id = auth.uid()); "
        "revoke all on users from anon, authenticated; grant select on users to authenticated"
    )
    for each in rules:
        await pg.execute(each)
    code, _, errors = await run(url, "migrate", "--mend")
    assert code == 0, errors
    return pg


async def test_mending_gives_no_right_that_nobody_had(empty_database_url: str) -> None:
    """It grants again only the columns that users could write before."""
    pg = await mended(empty_database_url, "grant update (name, role) on users to authenticated")
    plan = "select has_column_privilege('authenticated', 'users', 'plan', 'update')"
    assert await pg.fetchval(plan) is False
    await pg.close()


async def test_what_is_told_as_taken_out_is_taken_out(empty_database_url: str) -> None:
    """Revoked from the role that has it, or refused: it looks again after mending."""
    role = f"r_{uuid4().hex}"
    pg = await mended(
        empty_database_url,
        f"create role {role}",
        f"grant {role} to authenticated",
        f"grant update (role) on users to {role}",
    )
    try:
        assert [str(each) for each in await find_holes(pg)] == []
    finally:
        await pg.execute(f"drop owned by {role}")
        await pg.execute(f"drop role {role}")
        await pg.close()
