"""Batches applied to a database, and the rows they gave."""

from typing import Any
from uuid import UUID

from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Store
from tests.postgres.rows import add_call
from tests.postgres.server import Connection


async def call_of(pg: Connection, call_id: UUID | None) -> dict[str, Any]:
    row = await pg.fetchrow("select * from voice_calls where id = $1", call_id)
    assert row is not None
    return dict(row)


async def apply(store: Store, *parts: CallBatch) -> UUID | None:
    """Apply a batch; return the row of its first call."""
    applied = await store.apply(list(parts))
    return applied.call_ids[parts[0].header.key]


async def pending_row(pg: Connection, session_id: str, **fields: Any) -> UUID:
    """Insert a row as the front end does before the room is there."""
    call_id = await add_call(pg)
    await pg.execute("update voice_calls set session_id = $2 where id = $1", call_id, session_id)
    for name, value in fields.items():
        await pg.execute(f"update voice_calls set {name} = $2 where id = $1", call_id, value)  # noqa: S608
    return call_id


async def snapshot(pg: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return all rows, without the times at which they were written."""
    found = {}
    for table in ("voice_calls", "call_participants", "voice_messages", "voice_usage"):
        rows = await pg.fetch(f"select * from {table} order by id")  # noqa: S608
        unlike = {"created_at", "updated_at"} if table == "voice_calls" else set()
        found[table] = [{k: v for k, v in row.items() if k not in unlike} for row in rows]
    return found
