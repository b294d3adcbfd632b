"""Durations, terminal states, updated_at and tombstones of the rows themselves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.postgres.rows import add_call, add_leg, add_message, add_usage, add_user
from tests.postgres.server import Connection, as_role, as_user

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@dataclass(frozen=True)
class Times:
    """Seconds after noon at which a call was created, started and connected; it ends at 60."""

    created: float
    started: float | None
    connected: float | None
    duration: int


TIMES = [
    Times(0, 10, 20, 40),
    Times(0, 10, None, 50),
    Times(0, None, None, 60),
    Times(0, None, 30.9, 29),
    Times(0, 10, 90, 0),  # a clock stepped back
]


@pytest.mark.every_postgres
async def test_duration_counts_from_the_best_known_start_on_insert_and_update(
    pg: Connection,
) -> None:
    for times in TIMES:
        inserted = await pg.fetchrow(
            """
            insert into voice_calls
                (session_id, room_name, created_at, started_at, connected_at, ended_at)
            values ($1, 'r', $2, $3, $4, $5) returning id, duration_seconds
            """,
            str(times),
            after(times.created),
            None if times.started is None else after(times.started),
            None if times.connected is None else after(times.connected),
            after(60),
        )
        assert inserted is not None
        assert inserted["duration_seconds"] == times.duration
        updated = await pg.fetchval(
            "update voice_calls set ended_at = $2 where id = $1 returning duration_seconds",
            inserted["id"],
            after(160),
        )
        begin = next(t for t in (times.connected, times.started, times.created) if t is not None)
        assert updated == int(160 - begin)


async def test_a_duration_follows_the_times_whoever_gives_another(pg: Connection) -> None:
    call = await add_call(pg, status="active")
    change = "update voice_calls set {} where id = $1 returning duration_seconds"

    async def duration_after(changes: str) -> int | None:
        found: int | None = await pg.fetchval(change.format(changes), call)
        return found

    assert await duration_after(f"started_at = '{NOON}', duration_seconds = 7") is None
    assert await duration_after(f"ended_at = '{after(60)}', duration_seconds = 7") == 60
    assert await duration_after("duration_seconds = 7") == 60
    assert await duration_after(f"connected_at = '{after(20)}'") == 40
    assert await duration_after("connected_at = null, duration_seconds = null") == 60
    assert await duration_after("ended_at = '9998-01-01'") == 2147483647
    assert await duration_after("ended_at = '0001-01-02'") == 0
    assert await duration_after("ended_at = null") is None


async def test_a_call_that_goes_on_has_no_duration(pg: Connection) -> None:
    duration = await pg.fetchval(
        """
        insert into voice_calls (session_id, room_name, duration_seconds) values ('s', 'r', 99)
        returning duration_seconds
        """
    )
    assert duration is None


@pytest.mark.every_postgres
async def test_a_leg_has_a_duration_on_insert_and_update_and_never_a_negative_one(
    pg: Connection,
) -> None:
    call = await add_call(pg)
    insert = """
        insert into call_participants (call_id, participant_identity, joined_at, left_at)
        values ($1, 'ann', $2, $3) returning duration_seconds
    """
    assert await pg.fetchval(insert, call, after(5), after(12)) == 7
    assert await pg.fetchval(insert, call, after(5), after(1)) == 0
    assert await pg.fetchval(insert, call, after(5), None) is None
    update = """
        update call_participants set left_at = $2
        where call_id = $1 and left_at is null returning duration_seconds
    """
    assert await pg.fetchval(update, call, after(9)) == 4


async def test_who_comes_back_has_a_second_leg(pg: Connection) -> None:
    call = await add_call(pg)
    assert await add_leg(pg, call, None, "ann") != await add_leg(pg, call, None, "ann")


@pytest.mark.parametrize("ended_as", ["completed", "failed"])
async def test_a_late_end_from_the_front_end_changes_nothing(pg: Connection, ended_as: str) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(pg, ann, "active")
    await pg.execute(
        """
        update voice_calls set status = $2, ended_at = $3, end_reason = 'caller_hangup'
        where id = $1
        """,
        call,
        ended_as,
        after(10),
    )
    before = await pg.fetchrow("select * from voice_calls where id = $1", call)
    end = "update voice_calls set status = 'completed', ended_at = now() where id = $1"
    async with as_user(pg, ann):
        assert await pg.execute(end, call) == "UPDATE 1"
    async with as_role(pg, "service_role", {"role": "service_role"}):
        assert await pg.execute(end, call) == "UPDATE 1"
    await pg.execute(
        "update voice_calls set status = 'active', ended_at = null where id = $1", call
    )
    assert await pg.fetchrow("select * from voice_calls where id = $1", call) == before


async def test_an_ended_call_still_takes_a_recording_and_a_missing_end(pg: Connection) -> None:
    call = await add_call(pg, status="failed")
    row = await pg.fetchrow(
        """
        update voice_calls set status = 'completed', ended_at = now(), recording_url = 'https://r'
        where id = $1 returning status, ended_at, recording_url
        """,
        call,
    )
    assert row is not None
    assert (row["status"], row["recording_url"]) == ("failed", "https://r")
    assert row["ended_at"] is not None


@pytest.mark.every_postgres
async def test_only_the_worker_reopens_an_ended_call(pg: Connection) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(pg, ann, "failed")
    reopen = "update voice_calls set status = 'active' where id = $1 returning status"
    await pg.execute("select set_config('voice_worker.applying', 'on', false)")
    async with as_user(pg, ann):
        assert await pg.fetchval(reopen, call) == "failed"
    async with as_role(pg, "voice_worker", {}):
        assert await pg.fetchval(reopen, call) == "active"


async def test_an_active_call_is_made_pending_again_by_the_worker_alone(pg: Connection) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(pg, ann, "active")
    back = """
        update voice_calls set status = 'pending', connected_at = $2 where id = $1
        returning status, connected_at
    """
    async with as_user(pg, ann):
        row = await pg.fetchrow(back, call, NOON)
    assert row is not None
    assert row["status"] == "active"
    async with as_role(pg, "service_role", {"role": "service_role"}):
        assert await pg.fetchval(back, call, NOON) == "active"
    await pg.execute("select set_config('voice_worker.applying', 'on', false)")
    async with as_role(pg, "voice_worker", {}):
        assert await pg.fetchval(back, call, NOON) == "pending"


async def test_updated_at_moves_only_with_a_change(pg: Connection) -> None:
    call = await add_call(pg)
    await pg.execute("update voice_calls set status = 'pending' where id = $1", call)
    same = "select updated_at = created_at from voice_calls where id = $1"
    assert await pg.fetchval(same, call)
    await pg.execute("update voice_calls set status = 'active' where id = $1", call)
    assert not await pg.fetchval(same, call)


@pytest.mark.every_postgres
async def test_a_deleted_call_leaves_a_tombstone_and_takes_its_rows_along(pg: Connection) -> None:
    ann = await add_user(pg, "ann")
    call = await add_call(pg, ann)
    await pg.execute("update voice_calls set room_sid = 'RM_1' where id = $1", call)
    message = await add_message(pg, call, tokens=5)
    await add_usage(pg, call, message, tokens=5)
    await add_leg(pg, call, ann, "ann")
    async with as_user(pg, ann):
        assert await pg.execute("delete from voice_calls where id = $1", call) == "DELETE 1"
    grave = await pg.fetchrow("select call_id, room_sid from voice_worker.tombstones")
    assert grave is not None
    assert (grave["call_id"], grave["room_sid"]) == (call, "RM_1")
    left = await pg.fetchval(
        """
        select (select count(*) from voice_messages) + (select count(*) from voice_usage)
            + (select count(*) from call_participants)
        """
    )
    assert left == 0


async def test_calls_made_and_deleted_again_leave_one_tombstone_each(pg: Connection) -> None:
    for call in (uuid4(), uuid4()):
        async with pg.transaction():
            await pg.execute(
                """
                insert into voice_calls (id, session_id, room_name, room_sid)
                values ($1, 's', 'r', 'RM_1')
                """,
                call,
            )
            message = await add_message(pg, call, tokens=3)
            await add_usage(pg, call, message, tokens=3)
            await pg.execute("delete from voice_calls where id = $1", call)
    graves = await pg.fetch("select room_sid from voice_worker.tombstones order by deleted_at")
    assert [grave["room_sid"] for grave in graves] == ["RM_1", None]


@pytest.mark.parametrize("time", ["infinity", "-infinity", "20000-01-01", "0002-01-01 BC"])
async def test_a_time_that_no_client_can_read_is_refused(pg: Connection, time: str) -> None:
    """It would break every list that it is in. A user's is corrected (test_user_limits.py)."""
    call = await add_call(pg)
    async with as_role(pg, "service_role", {}):
        for column in ("started_at", "connected_at", "ended_at"):
            with pytest.raises(asyncpg.CheckViolationError):
                await pg.execute(
                    f"update voice_calls set {column} = $1::text::timestamptz where id = $2",  # noqa: S608
                    time,
                    call,
                )
