"""`python -m db check-usage CALL`, as an operator runs it."""

import pytest

from tests.postgres.callrecord.operator.command import run
from tests.postgres.callrecord.reading.recorded import record_call
from tests.postgres.server import Connection


async def test_a_ledger_that_adds_up(dsn: str, pg: Connection) -> None:
    """A gap that it names is no fault."""
    await record_call(dsn)
    await pg.execute("update voice_calls set usage_complete = true")
    told = "the ledger adds up and is complete\n"
    assert await run(dsn, "check-usage", "room-1") == (0, told, "")
    await pg.execute(
        "update voice_calls set usage_complete = false, usage_gaps = '{\"stt a/b: 1 request\"}'"
    )
    assert await run(dsn, "check-usage", "room-1") == (0, "gap: stt a/b: 1 request\n", "")
    await pg.execute("update voice_calls set usage_gaps = null")
    assert (await run(dsn, "check-usage", "room-1"))[1] == "gap: not known to be complete\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("update voice_messages set tokens_used = tokens_used + 1", "has 91 tokens"),
        ("update voice_calls set total_tokens_used = 1", "the call has 1 tokens"),
        ("update voice_usage set request_id = 'r-1', kind = 'llm'", "requests with the id r-1"),
        ("update voice_usage set metadata = '{\"open\": true}'", "has no end"),
    ],
)
async def test_what_does_not_add_up_is_told(
    dsn: str, pg: Connection, change: str, told: str
) -> None:
    await record_call(dsn)
    async with pg.transaction():
        await pg.execute("set local session_replication_role = replica")  # without the triggers
        await pg.execute(change)
    code, output, errors = await run(dsn, "check-usage", "RM_1")
    assert (code, errors) == (1, "")
    assert any(line.startswith("wrong: ") and told in line for line in output.splitlines())


async def test_an_unknown_call(dsn: str) -> None:
    code, _, errors = await run(dsn, "check-usage", "nobody")
    assert code == 1
    assert "there is no call" in errors
