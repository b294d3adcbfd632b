"""`python -m db migrate` and `psql -f`, as a user runs them."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from callrecord.postgres.schema_version import SCHEMA_VERSION_NEEDED
from callrecord.schema.migrate import MOVES_ROWS, url_for_dbmate
from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.schema.by_psql import FILES, apply_with_psql
from tests.postgres.callrecord.schema.catalogue import catalogue

pytestmark = pytest.mark.every_postgres


async def test_it_applies_every_file_and_then_has_nothing_to_do(empty_database_url: str) -> None:
    code, output, errors = await run(empty_database_url, "migrate")
    assert (code, errors) == (0, "")
    files = sorted((path.name for path in FILES), key=lambda name: (name == MOVES_ROWS, name))
    applied = [*(f"applied {name}" for name in files), "applied the routines"]
    assert output.splitlines() == [*applied, f"schema version {SCHEMA_VERSION_NEEDED}"]
    code, output, errors = await run(empty_database_url, "migrate")
    assert (code, errors) == (0, "")
    assert output.splitlines() == [f"schema version {SCHEMA_VERSION_NEEDED} (nothing to apply)"]


@pytest.mark.parametrize("flags", [(), ("-1",)], ids=["statements", "one transaction"])
async def test_psql_and_migrate_give_the_same_schema_in_any_order(
    empty_database_url: str, database_url: str, flags: tuple[str, ...]
) -> None:
    by_migrate = await catalogue(database_url)
    apply_with_psql(empty_database_url, *flags)
    assert await catalogue(empty_database_url) == by_migrate
    assert (await run(empty_database_url, "migrate"))[0] == 0
    apply_with_psql(empty_database_url, *flags)
    assert await catalogue(empty_database_url) == by_migrate
    apply_with_psql(database_url, *flags)
    assert await catalogue(database_url) == by_migrate


async def test_two_runs_at_once_both_succeed(empty_database_url: str) -> None:
    results = await asyncio.gather(*(run(empty_database_url, "migrate") for _ in range(2)))
    assert [code for code, _, _ in results] == [0, 0]


async def test_users_of_the_database_stay_as_they_are(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(
            """
            create type user_role as enum ('member', 'admin');
            create table users (
                id uuid primary key, name text, email text, role user_role, plan text
            );
            insert into users values (gen_random_uuid(), 'ann', 'a@example.org', 'member', 'gold')
            """
        )
        assert (await run(empty_database_url, "migrate"))[0] == 0
        row = await connection.fetchrow("select name, plan from users")
        assert row is not None
        assert tuple(row) == ("ann", "gold")
    finally:
        await connection.close()


SUPABASE = """
do $$ begin
    if to_regrole('anon') is null then create role anon; create role authenticated; end if;
end $$;
alter default privileges in schema public grant all on tables to anon, authenticated;
create schema auth;
create function auth.uid() returns uuid language sql stable as
    'select current_setting(''request.jwt.claim.sub'')::uuid /* Supabase''s own */';
create table users (id uuid primary key, name text, email text, role text);
"""


async def test_supabases_own_stays_and_its_default_grants_are_taken_back(
    empty_database_url: str,
) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(SUPABASE)
        assert (await run(empty_database_url, "migrate", "--mend"))[0] == 0
        source = "select prosrc from pg_proc where oid = 'auth.uid'::regproc"
        assert "Supabase's own" in await connection.fetchval(source)
        rows = await connection.fetch(
            """
            select oid::regclass::text as name, has_any_column_privilege('anon', oid,
                'select, insert, update') or has_table_privilege('anon', oid, 'delete') as for_anon,
                has_table_privilege('authenticated', oid, 'insert, update, truncate') as for_users
            from pg_class
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
                and relname <> 'users'
            """
        )
        assert len(rows) == 9
        assert not [row["name"] for row in rows if row["for_anon"] or row["for_users"]]
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (None, "DATABASE_URL is missing"),
        ("", "DATABASE_URL is missing"),
        ("not a url", "not the URL of a Postgres database"),
        ("mysql://u:s3cret@127.0.0.1/x", "not the URL of a Postgres database"),
        ("postgresql://u:s3/cret@127.0.0.1/x", "not the URL of a Postgres database"),
        ("postgresql://u:s3cret@127.0.0.1/x?sslmode=never", "invalid option or value"),
    ],
)
@pytest.mark.filterwarnings("default")
async def test_a_bad_url_is_one_line_and_exit_code_2(url: str | None, complaint: str) -> None:
    code, output, errors = await run(url, "migrate")
    assert (code, output) == (2, "")
    assert complaint in errors
    assert len(errors.splitlines()) == 1
    assert "s3" not in errors


async def test_a_missing_database_or_wrong_password_is_one_line_and_exit_code_2(
    postgres_server: str,
) -> None:
    missing = urlsplit(postgres_server)._replace(path="/nowhere").geturl()
    code, _, errors = await run(missing, "migrate")
    assert code == 2
    assert 'database "nowhere" does not exist' in errors
    assert len(errors.splitlines()) == 1


async def test_a_postgres_that_stays_away_is_waited_for_and_exit_code_1() -> None:
    code, _, errors = await run("postgresql://u:s3cret@127.0.0.1:1/x", "migrate", "--wait", "0.6")
    assert code == 1
    assert "waiting for Postgres" in errors
    assert "s3cret" not in errors


async def test_help_lists_the_commands() -> None:
    code, output, _ = await run(None, "--help")
    assert code == 0
    assert "migrate" in output


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("postgresql://u:p@h:1/d", "postgresql://u:p@h:1/d?sslmode=prefer"),
        ("postgresql://h/d?sslmode=verify-full", "postgresql://h/d?sslmode=verify-full"),
        ("postgres:///d?host=/run/pg", "postgres:///d?host=/run/pg&sslmode=prefer"),
    ],
)
def test_dbmate_uses_tls_as_other_clients_do(
    monkeypatch: pytest.MonkeyPatch, given: str, wanted: str
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert url_for_dbmate(given) == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_file_goes_forward_only(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("-- migrate:up\n")
    assert text.rstrip().endswith("-- migrate:down")
