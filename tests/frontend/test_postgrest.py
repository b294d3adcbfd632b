"""The habits once more as the statements that PostgREST itself sends, on both ends of Postgres."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.postgres.rows import add_user
from tests.postgres.server import Connection

pytestmark = pytest.mark.every_postgres

# One statement a request: what is written, and from it the body of the answer.
BODY = """
select '' as total_result_set, pg_catalog.count(_postgrest_t) as page_total,
    array[]::text[] as header, coalesce(json_agg(_postgrest_t)->0, 'null')::text as body,
    nullif(current_setting('response.headers', true), '') as response_headers,
    nullif(current_setting('response.status', true), '') as response_status,
    '' as response_inserted
from (select {columns} from "pgrst_source" as "{table}") _postgrest_t
"""
INSERT = """
with pgrst_source as (
    insert into "public"."{table}"({names})
    select {given} from (select $1::json as json_data) pgrst_payload,
        lateral (select {names} from json_to_record(pgrst_payload.json_data) as _({typed})
            limit 1) pgrst_body
    returning {returned}
)
"""
UPDATE = """
with pgrst_source as (
    update "public"."{table}" set {changes} from (select $1::json as json_data) pgrst_payload,
        lateral (select {names} from json_to_record(pgrst_payload.json_data) as _({typed})
            limit 1) pgrst_body
    where "public"."{table}"."id" = '{id}' returning "public"."{table}".*
)
"""
DELETE = """
with pgrst_source as (
    delete from "public"."voice_calls" where "public"."voice_calls"."id" = '{id}' returning 1
)
select '' as total_result_set, pg_catalog.count(_postgrest_t) as page_total,
    array[]::text[] as header, ''::text as body,
    nullif(current_setting('response.headers', true), '') as response_headers,
    nullif(current_setting('response.status', true), '') as response_status,
    '' as response_inserted
from (select * from pgrst_source) _postgrest_t
"""
COUNT = """
with pgrst_source as (
    select "public"."voice_messages".* from "public"."voice_messages"
    where "public"."voice_messages"."call_id" = '{id}'
), pgrst_source_count as (
    select 1 from "public"."voice_messages" where "public"."voice_messages"."call_id" = '{id}'
)
select (select pg_catalog.count(*) from pgrst_source_count) as total_result_set
from (select * from pgrst_source) _postgrest_t
"""
TYPES = {
    "user_id": "uuid",
    "session_id": "character varying",
    "room_name": "character varying",
    "ai_agent_used": "boolean",
    "status": "public.call_status",
    "connected_at": "timestamp with time zone",
    "ended_at": "timestamp with time zone",
    "call_id": "uuid",
    "role": "public.message_role",
    "content": "text",
    "sequence_number": "integer",
}


def parts(table: str, row: dict[str, Any]) -> dict[str, str]:
    return {
        "table": table,
        "names": ", ".join(f'"{name}"' for name in row),
        "given": ", ".join(f'"pgrst_body"."{name}"' for name in row),
        "typed": ", ".join(f'"{name}" {TYPES[name]}' for name in row),
        "changes": ", ".join(f'"{name}" = "pgrst_body"."{name}"' for name in row),
    }


@pytest.fixture
async def ann(pg: Connection) -> UUID:
    return await add_user(pg, "ann")


class Requests:
    """Sends what PostgREST sends for a signed-in user: a transaction for each request."""

    def __init__(self, pg: Connection, user: UUID) -> None:
        self._pg = pg
        self._claims = json.dumps({"sub": str(user), "role": "authenticated"})

    async def send(self, statement: str, row: dict[str, Any] | None = None) -> Any:
        """Return the answer: of a write its `body`, of anything else the first column."""
        async with self._pg.transaction():
            await self._pg.execute(
                """
                select set_config('search_path', '"public"', true),
                    set_config('role', 'authenticated', true),
                    set_config('request.jwt.claims', $1, true),
                    set_config('request.method', 'POST', true),
                    set_config('request.headers', '{}', true)
                """,
                self._claims,
            )
            answer = await self._pg.fetchrow(statement, *([] if row is None else [json.dumps(row)]))
        assert answer is not None
        return answer[0] if row is None else json.loads(answer["body"])

    async def insert(self, table: str, row: dict[str, Any], *, columns: str = "*") -> Any:
        """Insert a row; return its columns."""
        returned = ", ".join(f'"public"."{table}".{each}' for each in columns.split(", "))
        of_body = ", ".join(f'"{table}".{each}' for each in columns.split(", "))
        statement = INSERT.format(**parts(table, row), returned=returned)
        return await self.send(statement + BODY.format(columns=of_body, table=table), row)

    async def update(self, id_: str, row: dict[str, Any]) -> Any:
        """Change a call; return it whole."""
        statement = UPDATE.format(**parts("voice_calls", row), id=id_)
        body = BODY.format(columns='"voice_calls".*', table="voice_calls")
        return await self.send(statement + body, row)


async def test_a_calls_life_in_postgrests_own_statements(pg: Connection, ann: UUID) -> None:
    postgrest = Requests(pg, ann)
    call = {"user_id": str(ann), "session_id": "s", "room_name": "Support Call"}
    made = await postgrest.insert("voice_calls", call | {"ai_agent_used": True}, columns='"id"')
    assert list(made) == ["id"]
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    joined = await postgrest.update(made["id"], {"status": "active", "connected_at": now})
    assert joined["status"] == "active"
    assert datetime.fromisoformat(joined["connected_at"]) == datetime.fromisoformat(now)
    said = {"call_id": made["id"], "role": "user", "content": "words", "sequence_number": 1}
    numbers = [
        (await postgrest.insert("voice_messages", said))["sequence_number"] for _ in range(2)
    ]
    assert numbers == [1, 2]
    assert await postgrest.send(COUNT.format(id=made["id"])) == 2
    # A clock that is ahead is corrected: the call has not lasted for five seconds yet.
    ahead = datetime.now(UTC) + timedelta(seconds=5)
    end = {"status": "completed", "ended_at": ahead.isoformat()}
    over = await postgrest.update(made["id"], end)
    assert (over["status"], over["duration_seconds"]) == ("completed", 0)
    late = {"status": "completed", "ended_at": (ahead + timedelta(minutes=1)).isoformat()}
    again = await postgrest.update(made["id"], late)
    assert again["transcript"].count("Caller: words") == 2  # written after the first end's answer
    told = {"transcript", "transcript_digest"}
    assert {k: v for k, v in again.items() if k not in told} == {
        k: v for k, v in over.items() if k not in told
    }
    await postgrest.send(DELETE.format(id=made["id"]))
    assert await pg.fetchval("select count(*) from voice_calls") == 0
