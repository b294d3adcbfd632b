"""A database in which somebody applied the enhanced schema by hand becomes ours, rows and all."""

import re
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from callrecord.schema.migrate import migrate
from tests.postgres.callrecord.schema.by_psql import apply_with_psql
from tests.postgres.callrecord.schema.catalogue import catalogue, differences
from tests.postgres.callrecord.schema.seed import apply_seed
from tests.postgres.rows import add_leg, add_message, add_usage
from tests.postgres.server import Connection, as_role, as_user

pytestmark = pytest.mark.every_postgres

ANN = UUID("00000000-0000-4000-8000-000000000003")
# The place of a column is where it was made; users, auth and default grants are the team's.
THEIR_OWN = (
    r"column (voice_calls|voice_messages|call_participants)\."
    r"|table (\w+_id_seq|\w*(summary|analytics)|turn_\w+|auth\.users)|column (auth\.)?users\."
    r"|table users|\w+ users|default privilege"
    r"|function auth\.uid|schema auth|(constraint|index) auth\.|function \w+_statistics"
)
ROWS = """
select
    (select md5(string_agg(to_jsonb(c)::text, '|' order by id)) from (
        select id, user_id, session_id, room_name, status, started_at, connected_at, ended_at,
            metadata - 'n' as metadata from voice_calls where session_id <> 'call-59'
    ) c) as calls,
    (select md5(string_agg(to_jsonb(m)::text, '|' order by id)) from (
        select id, call_id, role, content, tokens_used, timestamp from voice_messages
    ) m) as messages,
    (select md5(string_agg(to_jsonb(p)::text, '|' order by id)) from (
        select id, call_id, user_id, participant_identity, participant_name, joined_at, left_at,
            coalesce(metadata ->> 'participant_type_before', participant_type) as kind
        from call_participants
    ) p) as legs,
    (select count(*) from voice_calls) as n_calls,
    (select count(*) from voice_messages) as n_messages,
    (select count(*) from call_participants) as n_legs
"""


@pytest.fixture(params=["plain", "supabase"])
async def by_hand(
    request: pytest.FixtureRequest, empty_database_url: str
) -> AsyncIterator[Connection]:
    """A connection to such a database, with rows, on plain Postgres and as Supabase has it."""
    if request.param == "plain":
        # Nothing of Supabase's: whoever applied the file there had to make auth.uid() first.
        apply_seed(empty_database_url, "users", "auth_by_hand")
    else:
        apply_seed(empty_database_url, "supabase", "users")
    apply_seed(empty_database_url, "enhanced", "enhanced_rows")
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


@pytest.mark.usefixtures("database_url")  # the roles are there, and somebody else's
async def test_its_owner_need_not_be_a_superuser(owner_url: str, empty_database_url: str) -> None:
    apply_seed(owner_url, "supabase", "users", "enhanced", "enhanced_rows")
    await migrate(owner_url, mend=True)
    connection = await asyncpg.connect(empty_database_url)
    try:
        async with as_user(connection, ANN):
            assert await connection.fetchval("select count(*) from call_analytics") == 3
            mails = "select user_email from active_calls_summary where user_email is not null"
            assert await connection.fetch(mails) == []
    finally:
        await connection.close()


async def rows_of(conn: Connection) -> tuple[object, ...]:
    row = await conn.fetchrow(ROWS)
    assert row is not None
    return tuple(row)


async def test_no_row_is_lost_and_again_is_a_no_op(
    by_hand: Connection, empty_database_url: str
) -> None:
    before = await rows_of(by_hand)
    assert before[3:] == (60, 359, 120)
    await migrate(empty_database_url, mend=True)
    assert await rows_of(by_hand) == before
    whole = "select md5(string_agg(c::text, '|' order by id)) from voice_calls c"
    first = await by_hand.fetchval(whole), await catalogue(empty_database_url)
    apply_with_psql(empty_database_url)
    assert (await migrate(empty_database_url, mend=True)).applied == []
    assert (await by_hand.fetchval(whole), await catalogue(empty_database_url)) == first
    assert await rows_of(by_hand) == before


async def test_its_schema_is_that_of_a_fresh_database(
    by_hand: Connection, empty_database_url: str, database_url: str
) -> None:
    await migrate(empty_database_url, mend=True)
    theirs, ours = await catalogue(empty_database_url), await catalogue(database_url)
    # Supabase's default grants to service_role are its own; users are the team's.
    different = differences(theirs, ours)
    assert not [x for x in different if not re.match(THEIR_OWN, x.name)]
    assert await by_hand.fetchval("select to_regnamespace('voice_before')") is None


async def test_its_faults_are_mended(by_hand: Connection, empty_database_url: str) -> None:
    async with as_user(by_hand, ANN):
        with pytest.raises(asyncpg.InvalidObjectDefinitionError, match="infinite recursion"):
            await by_hand.fetch("select * from voice_calls")
    await migrate(empty_database_url, mend=True)
    async with as_user(by_hand, ANN):
        assert await by_hand.fetchval("select count(*) from voice_calls") == 3
        assert await by_hand.fetchval("select count(*) from call_analytics") == 3
    async with as_role(by_hand, "anon", {"role": "anon"}):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await by_hand.fetch("select * from voice_calls")
    wrong = """
    select count(*) from voice_calls c where total_tokens_used is distinct from
        (select sum(tokens_used) from voice_messages where call_id = c.id)
    or (ended_at is not null and duration_seconds is null)
    """
    assert await by_hand.fetchval(wrong) == 0
    assert (
        await by_hand.fetchval(
            "select duration_seconds from voice_calls where session_id = 'call-3'"
        )
        == 120
    )
    assert (
        await by_hand.fetchval(
            "select duration_seconds from voice_calls where session_id = 'call-4'"
        )
        == 115
    )
    numbers = await by_hand.fetch(
        """
        select sequence_number, content, metadata from voice_messages
        where call_id = $1 order by sequence_number
        """,
        UUID(await by_hand.fetchval("select md5('call5')")),
    )
    assert [row["sequence_number"] for row in numbers] == [1, 2, 3, 4, 5, 6]
    assert [row["content"][-1] for row in numbers] == list("123456")
    assert '"sequence_number_before": 3' in numbers[3]["metadata"]
    assert numbers[5]["metadata"] == "{}"


async def test_it_works_as_ours(by_hand: Connection, empty_database_url: str) -> None:
    await migrate(empty_database_url, mend=True)
    call = UUID(await by_hand.fetchval("select md5('call60')"))
    await add_leg(by_hand, call, ANN, "ann")
    await add_leg(by_hand, call, ANN, "ann")  # the old schema took one only
    total = "select total_tokens_used from voice_calls where id = $1"
    before = await by_hand.fetchval(total, call)
    async with as_user(by_hand, ANN):
        message = await add_message(by_hand, call, tokens=7, number=2)
        number = "select sequence_number from voice_messages where id = $1"
        assert await by_hand.fetchval(number, message) == 7
    assert await by_hand.fetchval(total, call) == before
    await add_usage(by_hand, call, None, tokens=7)
    assert await by_hand.fetchval(total, call) == before + 7
    assert message.version == 7


async def test_functions_of_the_teams_own_that_use_the_same_triggers_stay(
    by_hand: Connection, empty_database_url: str
) -> None:
    await by_hand.execute(
        """
        create trigger also_here before update on users
            for each row when (false) execute function update_voice_calls_updated_at()
        """
    )
    await migrate(empty_database_url, mend=True)
    kept = """
        select proname from pg_proc
        where pronamespace = 'public'::regnamespace and prorettype = 'trigger'::regtype
    """
    assert [row["proname"] for row in await by_hand.fetch(kept)] == [
        "update_voice_calls_updated_at"
    ]
