"""Who may do what with which table: a matrix, each cell of which is tried in a real database.

A cell is the number of rows that the statement read or changed; `-` is a refusal for want of
rights, by the grants or by row level security; `x` says that the view cannot be written at all.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest

from tests.postgres.rows import add_call, add_leg, add_message, add_usage, add_user
from tests.postgres.server import Connection, database

pytestmark = pytest.mark.every_postgres

# Ann owns the call, Bob is in it, Cal was called, Eve has nothing to do with it, Root is an admin.
# The worker and service_role are nobody: where a statement needs a user of their own, it is Ann.
ACTORS = {
    "owner": ("authenticated", "ann"),
    "participant": ("authenticated", "bob"),
    "callee": ("authenticated", "cal"),
    "stranger": ("authenticated", "eve"),
    "admin": ("authenticated", "root"),
    "anon": ("anon", "ann"),
    "worker": ("voice_worker", "ann"),
    "service": ("service_role", "ann"),
}

# Of one call, with a leg of Ann and one of Bob, three messages and two requests to a model.
MATRIX = """
                                    owner participant callee stranger admin anon worker service
voice_calls          select             1           1      1        0     1    -      1       1
voice_calls          insert             1           1      1        1     1    -      1       1
voice_calls          insert_for_eve     -           -      -        1     1    -      1       1
voice_calls          update             1           0      0        0     1    -      1       1
voice_calls          give_away          -           -      -        -     -    -      1       1
voice_calls          set_callee         -           -      -        -     -    -      1       1
voice_calls          set_tokens         -           -      -        -     -    -      1       1
voice_calls          delete             1           0      0        0     1    -      -       1
voice_messages       select             3           3      3        0     3    -      3       3
voice_messages       insert             1           1      1        -     1    -      1       1
voice_messages       insert_as_agent    -           -      -        -     1    -      1       1
voice_messages       insert_as_system   -           -      -        -     1    -      1       1
voice_messages       update             0           0      0        0     3    -      3       3
voice_messages       set_role           -           -      -        -     -    -      3       3
voice_messages       move               -           -      -        -     -    -      3       3
voice_messages       delete             0           0      0        0     3    -      -       3
call_participants    select             2           2      2        0     2    -      2       2
call_participants    insert             1           -      -        -     1    -      1       1
call_participants    insert_for_eve     -           -      -        -     1    -      1       1
call_participants    insert_as_admin    -           -      -        -     1    -      1       1
call_participants    insert_as_agent    -           -      -        -     1    -      1       1
call_participants    update             0           0      0        0     2    -      2       2
call_participants    move               -           -      -        -     -    -      2       2
call_participants    give_away          -           -      -        -     -    -      2       2
call_participants    delete             0           0      0        0     2    -      -       2
voice_usage          select             2           0      0        0     2    -      2       2
voice_usage          insert             -           -      -        -     -    -      1       1
voice_usage          update             -           -      -        -     -    -      2       2
voice_usage          delete             -           -      -        -     -    -      -       2
users                select             1           0      0        0     0    -      -       1
users                select_all         1           1      1        1     1    -      -       5
users                insert             -           -      -        -     -    -      -       1
users                update             -           -      -        -     -    -      -       1
users                make_admin         -           -      -        -     -    -      -       1
users                delete             -           -      -        -     -    -      -       1
active_calls_summary select             1           1      1        0     1    -      -       1
active_calls_summary insert             x           x      x        x     x    x      x       x
active_calls_summary update             x           x      x        x     x    x      x       x
active_calls_summary delete             x           x      x        x     x    x      x       x
call_analytics       select             1           1      1        0     1    -      -       1
call_analytics       insert             x           x      x        x     x    x      x       x
call_analytics       update             x           x      x        x     x    x      x       x
call_analytics       delete             x           x      x        x     x    x      x       x
turn_costs           select             2           0      0        0     2    -      -       2
turn_costs           insert             x           x      x        x     x    x      x       x
turn_costs           update             x           x      x        x     x    x      x       x
turn_costs           delete             x           x      x        x     x    x      x       x
turn_latency         select             1           1      1        0     1    -      -       1
turn_latency         insert             x           x      x        x     x    x      x       x
turn_latency         update             x           x      x        x     x    x      x       x
turn_latency         delete             x           x      x        x     x    x      x       x
model_prices         select             1           1      1        1     1    -      1       1
model_prices         insert             -           -      -        -     1    -      -       1
model_prices         update             0           0      0        0     1    -      -       1
model_prices         delete             0           0      0        0     1    -      -       1
"""

# {call} is Ann's call, {other} one of Eve's, {me} who acts.
ADD_CALL = "insert into voice_calls (user_id, session_id, room_name) values ({me}, 's', 'Support')"
ADD_MESSAGE = "insert into voice_messages (call_id, role, content) values ({call}, 'user', '')"
ADD_LEG = (
    "insert into call_participants (call_id, user_id, participant_identity, participant_type) "
    "values ({call}, {me}, 'me', 'user')"
)
STATEMENTS = {
    "voice_calls insert": ADD_CALL,
    "voice_calls insert_for_eve": ADD_CALL.replace("{me}", "{eve}"),
    "voice_calls give_away": "update voice_calls set user_id = {eve} where id = {call}",
    "voice_calls set_callee": "update voice_calls set callee_id = {me} where id = {call}",
    "voice_calls set_tokens": "update voice_calls set total_tokens_used = 0 where id = {call}",
    "voice_messages insert": ADD_MESSAGE,
    "voice_messages insert_as_agent": ADD_MESSAGE.replace("'user'", "'assistant'"),
    "voice_messages insert_as_system": ADD_MESSAGE.replace("'user'", "'system'"),
    "voice_messages set_role": "update voice_messages set role = 'assistant' "
    "where call_id = {call}",
    "voice_messages move": "update voice_messages set call_id = {other}, sequence_number = null "
    "where call_id = {call}",
    "call_participants insert": ADD_LEG,
    "call_participants insert_for_eve": ADD_LEG.replace("{me}", "{eve}"),
    "call_participants insert_as_admin": ADD_LEG.replace("'user'", "'admin'"),
    "call_participants insert_as_agent": ADD_LEG.replace("'user'", "'agent'"),
    "call_participants move": "update call_participants set call_id = {other} "
    "where call_id = {call}",
    "call_participants give_away": "update call_participants set user_id = {eve} "
    "where call_id = {call}",
    "voice_usage insert": "insert into voice_usage (call_id, kind) values ({call}, 'llm')",
    "voice_usage update": "update voice_usage set total_tokens = 0 where call_id = {call}",
    "model_prices select": "select from model_prices limit 1",
    "model_prices insert": "insert into model_prices (provider, model, unit, price, valid_from) "
    "values ('p', 'm', 'request', 1, '2026-01-01')",
    "model_prices update": "update model_prices set price = 0 where id = 1",
    "model_prices delete": "delete from model_prices where id = 1",
    "turn_costs update": "update turn_costs set tokens = 0 where call_id = {call}",
    "turn_latency update": "update turn_latency set interrupted = true where call_id = {call}",
    "users select": "select from users where id = {ann}",
    "users select_all": "select from users",
    "users insert": "insert into users (name) values ('new')",
    "users update": "update users set name = 'new' where id = {ann}",
    "users make_admin": "update users set role = 'admin' where id = {ann}",
    "users delete": "delete from users where id = {ann}",
    "select": "select from {relation} where {key} = {call}",
    "insert": "insert into {relation} ({key}) values ({call})",
    "update": "update {relation} set metadata = '{{}}' where {key} = {call}",
    "delete": "delete from {relation} where {key} = {call}",
}
KEYED_BY_CALL = (
    "voice_messages",
    "call_participants",
    "voice_usage",
    "turn_costs",
    "turn_latency",
)
VIEWS = ("active_calls_summary", "call_analytics", "turn_costs", "turn_latency")


@dataclass(frozen=True)
class World:
    """A connection of the owner of a filled database, and the ids in it."""

    connection: Connection
    ids: dict[str, UUID]


@pytest.fixture(scope="module")
async def world(postgres_server: str, migrated_template: str) -> AsyncIterator[World]:
    """One database for all cells: each of them is rolled back."""
    async with database(postgres_server, template=migrated_template) as url:
        connection = await asyncpg.connect(url)
        ids = {name: await add_user(connection, name) for name in ("ann", "bob", "cal", "eve")}
        ids["root"] = await add_user(connection, "root", role="admin")
        ids["call"] = await add_call(connection, ids["ann"], "active")
        ids["other"] = await add_call(connection, ids["eve"], "active")
        await connection.execute(
            "update voice_calls set callee_id = $2 where id = $1", ids["call"], ids["cal"]
        )
        for name in ("ann", "bob"):
            await add_leg(connection, ids["call"], ids[name], name)
        await add_message(connection, ids["call"])
        await add_message(connection, ids["call"], "system")
        reply = await add_message(connection, ids["call"], "assistant", tokens=5)
        await add_usage(connection, ids["call"], reply, tokens=5)
        await add_usage(connection, ids["call"])
        yield World(connection, ids)
        await connection.close()


def cells() -> list[tuple[str, str, str, str]]:
    header, *lines = MATRIX.strip().splitlines()
    found = []
    for line in lines:
        relation, operation, *outcomes = line.split()
        for actor, outcome in zip(header.split(), outcomes, strict=True):
            found.append((actor, relation, operation, outcome))
    return found


def statement_of(relation: str, operation: str, actor: str, ids: dict[str, UUID]) -> str:
    text = STATEMENTS.get(f"{relation} {operation}") or STATEMENTS[operation]
    key = "call_id" if relation in KEYED_BY_CALL else "id"
    if relation in VIEWS:
        text = text.replace("metadata = '{{}}'", "session_id = ''")
    names = {name: f"'{value}'" for name, value in ids.items()}
    return text.format(relation=relation, key=key, me=names[ACTORS[actor][1]], **names)


async def outcome_of(world: World, actor: str, statement: str) -> str:
    role, name = ACTORS[actor]
    claims = {"role": role} | ({"sub": str(world.ids[name])} if role == "authenticated" else {})
    conn = world.connection
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute(
            "select set_config('request.jwt.claims', $1, true), set_config('role', $2, true)",
            json.dumps(claims),
            role,
        )
        return (await conn.execute(statement)).split()[-1]
    except asyncpg.InsufficientPrivilegeError:
        return "-"
    except asyncpg.ObjectNotInPrerequisiteStateError:
        return "x"
    finally:
        await transaction.rollback()


@pytest.mark.parametrize(("actor", "relation", "operation", "outcome"), cells())
async def test_the_cell_is_so(
    world: World, actor: str, relation: str, operation: str, outcome: str
) -> None:
    statement = statement_of(relation, operation, actor, world.ids)
    assert await outcome_of(world, actor, statement) == outcome, statement


def test_the_matrix_is_whole() -> None:
    """Each actor against select, insert, update and delete of each table and view."""
    tables = ("voice_calls", *KEYED_BY_CALL, "users")
    assert {
        (actor, relation, operation)
        for actor in ACTORS
        for relation in (*tables, *VIEWS)
        for operation in ("select", "insert", "update", "delete")
    } <= {(actor, relation, operation) for actor, relation, operation, _ in cells()}


async def test_the_tables_of_the_matrix_are_all_there_are(world: World) -> None:
    rows = await world.connection.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind in ('r', 'v', 'm', 'p', 'f') and relname <> 'schema_migrations'"
    )
    assert {row["relname"] for row in rows} == {relation for _, relation, _, _ in cells()}
