"""Ways around row level security that somebody may try with SQL of his own."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.postgres.people import People
from tests.postgres.rows import add_call, add_message, total_tokens
from tests.postgres.server import Connection, as_role, as_user

pytestmark = pytest.mark.every_postgres

Log = list[str]


def listen(conn: Connection) -> Log:
    """Return a list that is filled with what functions of the session tell."""
    told: Log = []
    conn.add_log_listener(lambda _, said: told.append(str(said.message)))
    return told


async def refusal(conn: Connection, statement: str, *arguments: UUID) -> str:
    with pytest.raises(asyncpg.InsufficientPrivilegeError) as caught:
        await conn.execute(statement, *arguments)
    return str(caught.value)


SPY = """
create function pg_temp.spy(value pg_catalog.text) returns boolean language plpgsql as
$$ begin raise notice 'as %', current_user; return true; end $$;
"""
TYPES = ("text", "uuid", "jsonb", "timestamptz", "name", "numeric")
# As text alone: the driver, too, looks for types by their names.
USE = """
select * from active_calls_summary;
select * from call_analytics;
select * from call_participants;
select * from voice_usage;
insert into voice_messages (call_id, role, content, tokens_used)
select id, 'user', '', 4 from voice_calls;
insert into call_participants (call_id, user_id, participant_identity)
select id, user_id, 'ann' from voice_calls;
update voice_calls set status = 'completed', ended_at = now();
delete from voice_calls;
"""


async def test_types_of_ones_own_do_not_run_with_the_rights_of_our_functions(
    pg: Connection, people: People, database_url: str
) -> None:
    """The temporary schema comes first for types, unless a function's search_path names it."""
    conn = await asyncpg.connect(database_url)
    told = listen(conn)
    try:
        async with as_user(conn, people.ann):
            await conn.execute(SPY)
            for kind in TYPES:
                await conn.execute(
                    f"create domain pg_temp.{kind} as pg_catalog.{kind} "
                    "check (pg_temp.spy(value::pg_catalog.text))"
                )
            await conn.execute(USE)
        assert set(told) == {"as authenticated"}
    finally:
        await conn.close()
    assert await pg.fetchval("select call_id from voice_worker.tombstones") == people.call


async def test_a_cheap_function_in_a_condition_is_shown_no_hidden_row(
    pg: Connection, people: People
) -> None:
    for number in range(3):
        await add_message(pg, people.eves_call, number=number)
    await pg.execute("update voice_messages set content = 'of ' || call_id")
    told = listen(pg)
    await pg.execute(
        """
        create function pg_temp.leak(seen text) returns boolean language plpgsql cost 0.0001 as
        $$ begin raise notice 'seen %', seen; return true; end $$
        """
    )
    async with as_user(pg, people.bob):
        await pg.fetch("select id from voice_messages where pg_temp.leak(content)")
        await pg.fetch("select id from call_analytics where pg_temp.leak('of ' || id)")
        await pg.fetch(
            "select id from active_calls_summary where pg_temp.leak('of ' || id)"
            " and pg_temp.leak(coalesce(user_email, 'of ' || id))"
        )
    assert set(told) == {f"seen of {people.call}"}


async def test_statistics_show_no_values(pg: Connection, people: People) -> None:
    await pg.execute("analyze voice_messages, voice_calls")
    count = "select count(*) from pg_stats where tablename in ('voice_messages', 'voice_calls')"
    assert await pg.fetchval(count) > 0
    async with as_user(pg, people.ann):
        assert await pg.fetchval(count) == 0


async def test_a_claim_is_no_role(pg: Connection, people: People) -> None:
    claims = {"sub": str(people.bob), "role": "service_role", "user_role": "admin"}
    async with as_role(pg, "authenticated", claims):
        rows = await pg.fetch("select id, user_email from active_calls_summary")
    assert [tuple(row) for row in rows] == [(people.call, None)]


REFERENCES = (
    "insert into voice_messages (call_id, role, content) values ($1, 'user', '')",
    "insert into call_participants (call_id, participant_identity) values ($1, '')",
    "insert into voice_calls (user_id, session_id, room_name) values ($1, 's', 'r')",
    """
    insert into call_participants (call_id, user_id, participant_identity)
    select id, $1, '' from voice_calls
    """,
)


async def test_a_refusal_does_not_tell_whether_an_id_is_somebodys(
    pg: Connection, people: People
) -> None:
    async with as_user(pg, people.eve):
        for statement, known in zip(
            REFERENCES, (people.call, people.call, people.ann, people.ann), strict=True
        ):
            told = await refusal(pg, statement, known)
            assert told == await refusal(pg, statement, uuid4())


TAKE_OVER = {
    "voice_calls": """
        insert into voice_calls (id, user_id, session_id, room_name)
        select $1, user_id, 's', 'mine' from voice_calls where id = $2
        on conflict (id) do update set metadata = '{"mine": true}'""",
    "voice_messages": """
        insert into voice_messages (id, call_id, role, content) values ($1, $2, 'user', 'mine')
        on conflict (id) do update set content = 'mine'""",
    "call_participants": """
        insert into call_participants (id, call_id, participant_identity) values ($1, $2, 'mine')
        on conflict (id) do update set participant_name = 'mine'""",
}


@pytest.mark.parametrize("table", TAKE_OVER)
async def test_an_id_that_is_there_is_not_taken_over(
    pg: Connection, people: People, table: str
) -> None:
    column = "id" if table == "voice_calls" else "call_id"
    rows = f"select * from {table} where {column} = $1 order by id"  # noqa: S608
    before = await pg.fetch(rows, people.call)
    theirs = (before[0]["id"], people.eves_call)
    upsert = TAKE_OVER[table]
    insert, _, _ = upsert.partition("on conflict")
    async with as_user(pg, people.eve):
        await refusal(pg, upsert, *theirs)
        assert await pg.execute(insert + "on conflict do nothing", *theirs) == "INSERT 0 0"
        with pytest.raises(asyncpg.UniqueViolationError):
            await pg.execute(insert, *theirs)
    assert await pg.fetch(rows, people.call) == before


@pytest.mark.parametrize("form", ["call-{}-1767225600000", "support-{}-1", "room"])
@pytest.mark.parametrize("who", ["ann", "service_role"])
async def test_a_name_that_is_taken_ahead_holds_nobody_up(
    pg: Connection, people: People, form: str, who: str
) -> None:
    """A row that a user made, and no room has claimed, gives its name up to whoever needs it."""
    name = form.format(people.ann)
    insert = """
    insert into voice_calls (user_id, session_id, room_name) values ($1, $2, 'r') returning id
    """
    async with as_user(pg, people.eve):
        ahead = await pg.fetchval(insert, people.eve, name)
    acting = as_user(pg, people.ann) if who == "ann" else as_role(pg, who, {})
    async with acting:
        call = await pg.fetchval(insert, people.ann, name)
        with pytest.raises(asyncpg.UniqueViolationError):
            await pg.execute(insert, people.ann, name)
    names = await pg.fetch(
        "select id, session_id from voice_calls where id = any ($1)", [ahead, call]
    )
    found = dict(map(tuple, names))
    assert found.pop(ahead).startswith(f"{name}@")
    assert found == {call: name}
    if who != "ann":
        async with as_user(pg, people.eve):
            with pytest.raises(asyncpg.UniqueViolationError):
                await pg.execute(insert, people.eve, name)


async def test_nobody_but_the_owner_holds_a_lock_on_a_call(pg: Connection, people: People) -> None:
    lock = "select id from voice_calls for update"
    for person, locked in ((people.ann, 1), (people.bob, 0), (people.eve, 1)):
        async with as_user(pg, person), pg.transaction():
            assert len(await pg.fetch(lock)) == locked


async def test_what_an_admin_deletes_stays_counted(pg: Connection, people: People) -> None:
    typed = await add_message(pg, people.call, tokens=3)
    async with as_user(pg, people.root):
        for message in (people.reply, typed):
            await pg.execute("delete from voice_messages where id = $1", message)
    # The request of the reply was paid for; nobody asked a model for what was typed.
    assert await total_tokens(pg, people.call) == 5
    assert await pg.fetchval("select count(*) from voice_usage where message_id is null") == 1


async def test_a_call_is_made_for_a_user_that_there_is(pg: Connection, people: People) -> None:
    nobody = uuid4()
    async with as_user(pg, nobody):
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await add_call(pg, nobody)
        assert await pg.fetchval("select count(*) from voice_calls") == 0
    assert await total_tokens(pg, people.call) == 5


GRANTED = {
    "authenticated": {"SELECT", "DELETE"},
    "service_role": {"SELECT", "INSERT", "UPDATE", "DELETE"},
    "voice_worker": {"SELECT", "INSERT", "UPDATE"},
}


async def test_the_grants_are_these_and_no_others(pg: Connection) -> None:
    """No TRUNCATE, which no row's trigger sees, no TRIGGER, no REFERENCES; users go by columns."""
    rows = await pg.fetch(
        """
        select relname, grantee::regrole::text, array_agg(privilege_type) as granted
        from pg_class, aclexplode(relacl)
        where relname in ('voice_calls', 'voice_messages', 'call_participants', 'voice_usage')
        and relnamespace = 'public'::regnamespace and grantee <> relowner
        group by relname, grantee
        """
    )
    found = {(row["relname"], row["grantee"]): set(row["granted"]) for row in rows}
    expected = {
        (table, role): granted
        for table in (*TAKE_OVER, "voice_usage")
        for role, granted in GRANTED.items()
    }
    expected["voice_usage", "authenticated"] = {"SELECT"}
    assert found == expected
