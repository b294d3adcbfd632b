"""auth.uid(), where it is ours: who is signed in, or one line that says why nobody is."""

from itertools import pairwise

import asyncpg
import pytest

from callrecord.schema.migrate import migrate
from tests.postgres.rows import add_call, add_user
from tests.postgres.server import Connection, as_role

pytestmark = pytest.mark.every_postgres

OTHER = "update voice_worker.schema_version set routines = 'other'"
EARLIER = """
create or replace function auth.uid() returns uuid language sql stable as $body$
        select coalesce(
            nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub',
            nullif(current_setting('request.jwt.claim.sub', true), '')
        )::uuid
    $body$;
"""


@pytest.mark.parametrize("sub", ["user_2abNSNd3oLEJ3lNqh5FQzDcOe2C", "28", ""])
async def test_a_sub_that_is_no_uuid_is_one_line_that_says_so(pg: Connection, sub: str) -> None:
    await add_call(pg)
    async with as_role(pg, "authenticated", {"sub": sub}):
        with pytest.raises(asyncpg.InvalidTextRepresentationError) as refused:
            await pg.fetch("select id from voice_calls")
    assert str(refused.value.args[0]) == (
        f'the token\'s sub must be a uuid, the users.id of who is signed in; it is "{sub}"'
    )
    assert refused.value.hint == "Give PostgREST a token of your own whose sub is the users.id."


async def test_each_form_of_a_uuid_is_taken_and_no_claims_are_nobody(pg: Connection) -> None:
    ann = await add_user(pg, "ann")
    for form in (str(ann), str(ann).upper(), ann.hex, f"{{{ann}}}"):
        async with as_role(pg, "authenticated", {"sub": form}):
            assert await pg.fetchval("select auth.uid()") == ann
    async with as_role(pg, "authenticated", {}):
        assert await pg.fetchval("select auth.uid()") is None
    await pg.execute("select set_config('request.jwt.claims', '', false)")
    assert await pg.fetchval("select auth.uid()") is None
    await pg.execute("select set_config('request.jwt.claim.sub', $1, false)", str(ann))
    assert await pg.fetchval("select auth.uid()") == ann


@pytest.mark.parametrize("table", ["voice_calls", "call_analytics"])
async def test_it_is_asked_for_a_query_and_not_for_each_row(pg: Connection, table: str) -> None:
    ann = await add_user(pg, "ann")
    await pg.execute("set track_functions = 'pl'")
    counted = "select calls from pg_stat_user_functions where schemaname = 'auth'"
    asked = [0]
    for rows in (1, 100):
        for _ in range(rows):
            await add_call(pg, ann, "active")
        # A form that is looked at in auth.uid_of, which is counted.
        async with as_role(pg, "authenticated", {"sub": ann.hex}):
            await pg.fetch(f"select id from {table} where user_id = $1", ann)  # noqa: S608
        await pg.execute("select pg_stat_force_next_flush()")
        asked.append(await pg.fetchval(counted))
    one, many = (after - before for before, after in pairwise(asked))
    assert 0 < many <= one <= 4  # two policies ask, and a plan once more


async def test_an_earlier_one_of_ours_is_replaced(pg: Connection, database_url: str) -> None:
    source = "select prosrc from pg_proc where oid = 'auth.uid()'::regprocedure"
    ours = await pg.fetchval(source)
    for made, kept in ((EARLIER, False), (EARLIER.replace("coalesce", "Coalesce"), True)):
        await pg.execute(made)
        before = await pg.fetchval(source)
        await pg.execute(OTHER)
        await migrate(database_url)
        assert (await pg.fetchval(source)) == (before if kept else ours)
