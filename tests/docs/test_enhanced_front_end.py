"""docs/enhanced-front-end.md: each statement of its tables does what the line says."""

import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from callrecord.schema.migrate import migrate
from local.places import PROJECT
from tests.postgres.people import People, add_people
from tests.postgres.rows import add_call, add_message
from tests.postgres.server import Connection, as_role, as_user, psql

pytestmark = pytest.mark.every_postgres

DOCUMENT: Final = (PROJECT / "docs" / "enhanced-front-end.md").read_text(encoding="utf-8")
REFUSED: Final = "does not: "
MESSAGE: Final = "insert into voice_messages (call_id, role, content, sequence_number) values "
LEG: Final = (
    "insert into call_participants (call_id, user_id, participant_identity, participant_type) "
    "values "
)


@dataclass(frozen=True)
class Line:
    """A line of a table: what is done, by whom, and what the document claims."""

    statement: str
    by: str
    here: str
    remark: str


@dataclass(frozen=True)
class Case:
    """What a line's statement is in SQL.

    Attributes:
        sql: With {names} of the rows that are there.
        gives: The first column of its answer; None: whatever it is.
        instead: What the remark says to do, which succeeds.
    """

    sql: str
    gives: tuple[object, ...] | None = ()
    instead: str = ""


def lines() -> list[Line]:
    """Return the lines of all tables with these four columns."""
    rows = re.findall(r"^\| (.+?) \| (\w+) \| ([\w: ]+) \| ?(.*?) ?\|$", DOCUMENT, re.MULTILINE)
    return [Line(*row) for row in rows if row[0] != "statement"]


CASES: Final = {
    "insert a pending call": Case(
        "insert into voice_calls (user_id, session_id, room_name, ai_agent_used) "
        "values ('{ann}', 'call-{ann}-1', 'Support Call', true) returning status",
        ("pending",),
    ),
    "insert a call of another user": Case(
        "insert into voice_calls (user_id, session_id, room_name) values ('{eve}', 's', 'r')"
    ),
    "insert a call under a `session_id` that is taken": Case(
        "insert into voice_calls (user_id, session_id, room_name) "
        "values ('{ann}', '{session}', 'r')"
    ),
    "joinCall: `active`, `connected_at`": Case(
        "update voice_calls set status = 'active', connected_at = now() where id = '{pending}' "
        "returning status",
        ("active",),
    ),
    "joinCall of a call that has ended": Case(
        "update voice_calls set status = 'active', connected_at = now() where id = '{ended}' "
        "returning status",
        ("completed",),
    ),
    "endCall: `completed`, `ended_at`": Case(
        "update voice_calls set status = 'completed', ended_at = now() + interval '5 s' "
        "where id = '{pending}' returning duration_seconds",
        (0,),  # the clock was ahead: it has not lasted for five seconds
    ),
    "fail a call: `failed`, `ended_at`": Case(
        "update voice_calls set status = 'failed', ended_at = now() where id = '{call}' "
        "returning status",
        ("failed",),
    ),
    "write `recording_url` and `metadata`": Case(
        "update voice_calls set recording_url = 'https://x/1', metadata = '{{\"a\": 1}}' "
        "where id = '{call}' returning metadata ->> 'a'",
        ("1",),
    ),
    "write `transcript` from the messages": Case(
        "update voice_calls c set transcript = (select string_agg(role || ': ' || content, E'\\n' "
        "order by sequence_number) from voice_messages m where m.call_id = c.id) "
        "where id = '{call}' returning transcript",
        ("assistant: words",),
    ),
    "write `total_tokens_used`": Case(
        "update voice_calls set total_tokens_used = 1 where id = '{call}'"
    ),
    "move a call to another `session_id` or user": Case(
        "update voice_calls set session_id = 'x', user_id = '{eve}' where id = '{call}'"
    ),
    "get a call by id": Case(
        "select status::text from voice_calls where id = '{call}'", ("active",)
    ),
    "get a call by `session_id`": Case(
        "select status::text from voice_calls where session_id = '{session}'", ("active",)
    ),
    "list a user's calls, newest first, 20": Case(
        "select status::text from voice_calls where user_id = '{ann}' "
        "order by created_at desc limit 20",
        ("completed", "pending", "active", "completed"),
    ),
    "list calls with status `active`": Case(
        "select id::text from voice_calls where status = 'active'", ("{call}",)
    ),
    "verify the owner: `user_id` of a call": Case(
        "select user_id::text from voice_calls where id = '{call}'", ("{ann}",)
    ),
    "verify the owner of somebody else's call": Case(
        "select user_id from voice_calls where id = '{eves_call}'", ()
    ),
    "delete a call": Case("delete from voice_calls where id = '{call}' returning 1", (1,)),
    "count a call's messages": Case(
        "select count(*) from voice_messages where call_id = '{call}'", (1,)
    ),
    "addUserMessage with number count + 1": Case(
        MESSAGE + "('{call}', 'user', 'hello', 2) returning sequence_number", (2,)
    ),
    "addMessage with a number that is taken": Case(
        MESSAGE + "('{call}', 'user', 'hello', 1) returning sequence_number", (2,)
    ),
    "addAssistantMessage": Case(MESSAGE + "('{call}', 'assistant', 'hello', 2)"),
    "addAssistantMessage with tokens": Case(
        "insert into voice_messages (call_id, role, content, sequence_number, tokens_used, "
        "model_used) values ('{call}', 'assistant', 'hello', 2, 40, 'gpt-4o-mini') "
        "returning tokens_used",
        (40,),
    ),
    "add a system message": Case(MESSAGE + "('{call}', 'system', 'hello', 2)"),
    "add a message to a call that one is not in": Case(
        MESSAGE + "('{eves_call}', 'user', 'hello', 1)"
    ),
    "read messages by `sequence_number`": Case(
        "select content from voice_messages where call_id = '{call}' order by sequence_number",
        ("words",),
    ),
    "the conversation as one text": Case(
        "select string_agg(role || ': ' || content, E'\\n' order by sequence_number) "
        "from voice_messages where call_id = '{call}'",
        ("assistant: words",),
    ),
    "edit a message": Case(
        "update voice_messages set content = 'x' where call_id = '{call}' returning 1", ()
    ),
    "delete a message": Case("delete from voice_messages where call_id = '{call}' returning 1", ()),
    "sum the tokens of a call's messages": Case(
        "select sum(tokens_used) from voice_messages where call_id = '{call}'", (5,)
    ),
    "addParticipant: oneself, in one's own call": Case(
        LEG + "('{call}', '{ann}', '{ann}', 'user') returning 1", (1,)
    ),
    "addParticipant: the agent": Case(LEG + "('{call}', null, 'agent', 'agent')"),
    "addParticipant: another user": Case(LEG + "('{call}', '{eve}', '{eve}', 'user')"),
    "addParticipant: oneself, in somebody else's call": Case(
        LEG + "('{eves_call}', '{ann}', '{ann}', 'user')"
    ),
    "upsert on `(call_id, participant_identity)`": Case(
        LEG + "('{call}', '{ann}', 'ann', 'user') "
        "on conflict (call_id, participant_identity) do update set left_at = null",
        instead=LEG + "('{call}', '{ann}', 'ann', 'user') returning 1",
    ),
    "upsert on `(call_id, participant_identity)` by the server": Case(
        LEG + "('{call}', '{ann}', 'ann', 'user') "
        "on conflict (call_id, participant_identity) do update set left_at = null",
        instead=LEG + "('{call}', '{ann}', 'ann', 'user') returning 1",
    ),
    "set `left_at` or `is_muted` of one's row": Case(
        "update call_participants set left_at = now(), is_muted = true "
        "where call_id = '{call}' and user_id = '{ann}' returning 1",
        (),
    ),
    "set `left_at` of a participant": Case(
        "update call_participants set left_at = now() where call_id = '{call}' "
        "and participant_identity = 'ann' and left_at is null returning 1",
        (1,),
    ),
    "who is in the call: `left_at` is null": Case(
        "select participant_identity from call_participants where call_id = '{call}' "
        "and left_at is null order by 1",
        ("ann", "bob"),
    ),
    "active_calls_summary": Case("select id::text from active_calls_summary", ("{call}",)),
    "active_calls_summary, all": Case("select count(*) from active_calls_summary", (2,)),
    "active_calls_summary of a call that one is in": Case(
        "select coalesce(user_name, user_email) from active_calls_summary", (None,)
    ),
    "call_analytics of a user": Case(
        "select message_count from call_analytics where user_id = '{ann}' and status = 'active'",
        (1,),
    ),
    "call_analytics, everybody's": Case(
        "select distinct user_id::text from call_analytics", ("{ann}",)
    ),
    "calls, failures and durations by day": Case(
        "select count(*) from call_analytics where created_at > now() - interval '7 days' "
        "group by date_trunc('day', created_at)",
        (3,),
        instead="select sum(calls) from call_statistics(current_date - 7, current_date + 2)",
    ),
    "failure rate": Case(
        "select round(100.0 * count(*) filter (where status = 'failed') / count(*))::int "
        "from voice_calls",
        (0,),
        instead="select failure_rate from call_statistics(current_date - 7, current_date + 2)",
    ),
    "tokens by day and model": Case(
        "select sum(tokens_used) from voice_messages group by date(timestamp), model_used", (5,)
    ),
    "calls active for more than two hours": Case(
        "select count(*) from voice_calls "
        "where status = 'active' and started_at < now() - interval '2 hours'",
        (1,),
    ),
    "a call with its owner's name, joined to `users`": Case(
        "select u.name from voice_calls c left join users u on u.id = c.user_id", (None,)
    ),
    "`select auth.uid()`": Case("select auth.uid()::text", ("{ann}",)),
    "RLS test: `set role authenticated; select * from voice_calls`": Case(
        "select count(*) from voice_calls", (0,)
    ),
    "RLS test with claims": Case("select count(*) from voice_calls", (4,)),
    "RLS test with claims of an admin": Case("select count(*) from voice_calls", (5,)),
    "`alter table voice_calls disable row level security`": Case(
        "alter table voice_calls disable row level security"
    ),
    "`alter table voice_calls disable row level security` for a test": Case(
        "alter table voice_calls disable row level security"
    ),
    "`grant all on all tables in schema public` to a login": Case(
        "grant all on all tables in schema public to voice_worker"
    ),
    "look at the triggers in `pg_trigger`": Case(
        "select count(*) > 5 from pg_trigger where tgrelid = 'voice_calls'::regclass", (True,)
    ),
    "drop a trigger, then run the migration again": Case(
        "drop trigger if exists voice_calls_calculate_duration_trigger on voice_calls"
    ),
    "`explain analyze` of a query": Case("explain analyze select * from voice_calls", None),
    "`reindex`, `analyze`": Case("analyze voice_calls", instead="reindex table voice_calls"),
    "table sizes, index usage": Case(
        "select pg_total_relation_size('voice_calls') > 0 "
        "from pg_stat_user_indexes where indexrelname = 'idx_voice_calls_session_id'",
        (True,),
    ),
    "insert a call with `caller_id`, `call_type`": Case(
        "insert into voice_calls (room_name, caller_id, call_type) values ('r', 'c', 'support')"
    ),
    "calls of a `caller_id`": Case("select * from voice_calls where caller_id = '{ann}'"),
    "status `ringing` or `connected`": Case(
        "update voice_calls set status = 'ringing' where id = '{call}'"
    ),
    "status `missed`": Case("update voice_calls set status = 'missed' where id = '{call}'"),
    "upsert a participant on `(call_id, user_id)`": Case(
        LEG + "('{call}', '{ann}', 'ann', 'user') on conflict (call_id, user_id) do nothing"
    ),
    "archive: copy old calls, delete them": Case(
        "with gone as (delete from voice_calls where created_at < now() - interval '90 days' "
        "returning *) select count(*) from gone",
        (1,),
    ),
}


def test_each_line_has_a_case() -> None:
    names = [line.statement for line in lines()]
    assert len(names) == len(set(names))
    assert set(names) == CASES.keys()


@dataclass(frozen=True)
class World:
    """Ann's calls, of which one goes on with Bob in it, and what the statements name."""

    people: People
    names: dict[str, object]


@pytest.fixture
async def world(pg: Connection) -> World:
    people = await add_people(pg)
    old = await add_call(pg, people.ann, "completed")
    await pg.execute(
        "update voice_calls set created_at = now() - interval '100 days' where id = $1", old
    )
    await pg.execute(
        "update voice_calls set started_at = now() - interval '3 hours' where id = $1",
        people.eves_call,
    )
    pending = await add_call(pg, people.ann)
    ended = await add_call(pg, people.ann, "completed")
    session = await pg.fetchval("select session_id from voice_calls where id = $1", people.call)
    names = {
        "ann": people.ann,
        "eve": people.eve,
        "call": people.call,
        "eves_call": people.eves_call,
        "pending": pending,
        "ended": ended,
        "old": old,
        "session": session,
    }
    return World(people, names)


async def first_column(pg: Connection, statement: str) -> tuple[object, ...]:
    """Return it of all rows."""
    return tuple(row[0] for row in await pg.fetch(statement))


async def do(pg: Connection, world: World, by: str, statement: str) -> tuple[object, ...]:
    """Do a statement as PostgREST or psql does for this one."""
    users: dict[str, UUID] = {
        "user": world.people.ann,
        "participant": world.people.bob,
        "admin": world.people.root,
    }
    if by in users:
        async with as_user(pg, users[by]):
            return await first_column(pg, statement)
    if by == "server":
        async with as_role(pg, "service_role", {"role": "service_role"}):
            return await first_column(pg, statement)
    return await first_column(pg, statement)


@pytest.mark.parametrize("line", lines(), ids=lambda line: line.statement[:50])
async def test_a_statement_does_what_its_line_says(
    pg: Connection, world: World, line: Line
) -> None:
    case = CASES[line.statement]
    statement = case.sql.format(**world.names)
    if line.statement.startswith("RLS test: "):
        async with as_role(pg, "authenticated", {}):
            given: tuple[object, ...] | None = await first_column(pg, statement)
    elif line.here.startswith(REFUSED):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await do(pg, world, line.by, statement)
        assert refused.value.sqlstate == line.here.removeprefix(REFUSED)
        given = None
    else:
        assert line.here in {"works", "otherwise"}
        given = await do(pg, world, line.by, statement)
    if line.here == "otherwise":
        assert line.remark
    if given is not None and case.gives is not None:
        wanted = [x.format(**world.names) if isinstance(x, str) else x for x in case.gives]
        assert list(given) == wanted
    if case.instead:
        await do(pg, world, line.by, case.instead.format(**world.names))


async def test_a_trigger_that_was_dropped_is_back_with_migrate(
    pg: Connection, database_url: str
) -> None:
    name = "voice_calls_calculate_duration_trigger"
    there = "select count(*) from pg_trigger where tgname = $1"
    await pg.execute(f"drop trigger {name} on voice_calls")
    assert (await migrate(database_url)).routines
    assert await pg.fetchval(there, name) == 1


async def test_the_archive_shown_keeps_what_the_one_before_loses(
    pg: Connection, database_url: str, world: World
) -> None:
    old = world.names["old"]
    assert isinstance(old, UUID)
    message = await add_message(pg, old)
    (shown,) = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
    for _ in range(2):
        psql(database_url, "-c", shown)
        assert await pg.fetchval("select array_agg(id) from archive.voice_calls") == [old]
        assert await pg.fetchval("select array_agg(id) from archive.voice_messages") == [message]
        assert await pg.fetchval("select count(*) from voice_messages where id = $1", message) == 0
    assert await pg.fetchval("select count(*) from voice_calls") == 4


async def test_the_archive_of_before_loses_the_messages(pg: Connection, world: World) -> None:
    old = world.names["old"]
    assert isinstance(old, UUID)
    await add_message(pg, old)
    await pg.execute(
        """
        create table voice_calls_archive (like voice_calls including all);
        insert into voice_calls_archive
        select * from voice_calls where created_at < now() - interval '90 days';
        delete from voice_calls where created_at < now() - interval '90 days';
        """
    )
    assert await pg.fetchval("select count(*) from voice_calls_archive") == 1
    kept = "select count(*) from voice_messages where call_id = $1"
    assert await pg.fetchval(kept, old) == 0
