"""The check itself: it finds what is lost, twice, changed, or ended otherwise."""

from pathlib import Path

import pytest

from callrecord.postgres.store import Store
from tests.faults.invariant import Account, Recorded, account
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, ended, leg, message, started, usage, write

BREAKS = {
    "lost": "alter table voice_messages disable trigger user; delete from voice_messages",
    "changed": "update voice_messages set content = 'other words'",
    "never recorded": "insert into voice_messages (call_id, role, content, revision) "
    "select id, 'user', 'twice', 9 from voice_calls",
    "another end": "begin; set local voice_worker.applying = 'on'; "
    "update voice_calls set end_reason = 'error'; commit",
    "no end": "alter table voice_calls disable trigger user; "
    "update voice_calls set ended_at = null, end_reason = null, status = 'active'",
    "left open": "update call_participants set left_at = null",
}


async def recorded_call(dsn: str) -> Recorded:
    one = Recorded(started(), [leg(), message("words"), usage(), ended()])
    store = Store(dsn)
    await store.apply([batch(one.header, *one.events)])
    await store.close()
    return one


async def test_what_is_stored_is_found(dsn: str, pg: Connection) -> None:
    one = await recorded_call(dsn)
    assert await account(pg, [one]) == Account(4, 4, 0, 0, 0)


@pytest.mark.parametrize("what", BREAKS)
async def test_what_is_wrong_is_found(dsn: str, pg: Connection, what: str) -> None:
    one = await recorded_call(dsn)
    await pg.execute(BREAKS[what])
    with pytest.raises(AssertionError):
        await account(pg, [one])


async def test_what_waits_and_what_was_deleted_is_counted(
    tmp_path: Path, dsn: str, pg: Connection
) -> None:
    gone, waits = await recorded_call(dsn), Recorded(started(), [message(), ended()])
    await pg.execute("delete from voice_calls")
    write(tmp_path, waits.header, *waits.events)
    assert await account(pg, [gone, waits], outbox=tmp_path) == Account(6, 0, 2, 0, 4)
    with pytest.raises(AssertionError, match="lost of"):
        await account(pg, [gone, waits])
