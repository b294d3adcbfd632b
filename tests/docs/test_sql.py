"""Every query that the documents show runs, with rows of every kind to read."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from local.places import PROJECT
from tests.postgres.rows import add_call, add_leg, add_message, add_usage, add_user
from tests.postgres.server import Connection

DOCUMENTS = ("docs/tables.md",)


def shown() -> Iterator[Any]:
    for document in DOCUMENTS:
        text = (PROJECT / document).read_text(encoding="utf-8")
        for block in re.findall(r"```sql\n(.*?)```", text, re.DOTALL):
            for query in re.split(r";\n", block):
                if words := re.sub(r"--.*", "", query).split():
                    yield pytest.param(query.strip().rstrip(";"), id=" ".join(words)[:60])


@pytest.mark.parametrize("query", list(shown()))
async def test_a_query_shown_runs_and_finds_its_rows(pg: Connection, query: str) -> None:
    """With one call of a user, and all that belongs to it, each finds something."""
    user = await add_user(pg, "ada")
    call = await add_call(pg, user, "active")
    ended = "update voice_calls set status = $2, end_reason = $3 where id = $1"
    await pg.execute(ended, await add_call(pg, user), "failed", "error")
    await pg.execute(ended, await add_call(pg, user), "completed", "transferred")
    spoken = await add_message(pg, call, "assistant")
    tool = await add_message(pg, call, "system")
    marked = 'update voice_messages set metadata = \'{"kind": "tool_call"}\' where id = $1'
    await pg.execute(marked, tool)
    await pg.execute(
        "update voice_messages set e2e_latency_ms = 900, revision = 1 where id = $1", spoken
    )
    await add_leg(pg, call, user, "ada")
    await add_usage(pg, call, spoken, tokens=5)
    prepared = await pg.prepare(query)
    of_user = "user_id = $1" in query or "of_user => $1" in query
    values = {"uuid": user if of_user else call, "timestamptz": _midnight()}
    rows = await prepared.fetch(*(values[each.name] for each in prepared.get_parameters()))
    assert rows


def _midnight() -> datetime:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
