"""What a batch makes of the rows, how a call ends, and that replay is safe."""

import json
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callrecord.errors import Refused
from callrecord.events import CallStarted, Event, new_id
from callrecord.postgres.store import Store
from tests.postgres.applied import apply, call_of, pending_row, snapshot
from tests.postgres.rows import add_user, total_tokens
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started, usage


@pytest.mark.every_postgres
async def test_a_call_becomes_one_row_with_all_that_was_in_it(store: Store, pg: Connection) -> None:
    header = started(metadata={"campaign": 7}, agent_identity="agent-1")
    words, cost = message(tokens=12), usage(12)
    bound = usage(12, message_id=words.id)
    call_id = await apply(
        store, batch(header, leg(), connected(), cost, words, bound, ended(seconds=62, by="x"))
    )
    row = await call_of(pg, call_id)
    assert row["id"] == header.key
    assert (row["session_id"], row["room_name"]) == (header.room_name, header.room_name)
    assert (row["status"], row["end_reason"]) == ("completed", "caller_hangup")
    assert (row["duration_seconds"], row["total_tokens_used"]) == (60, 24)
    assert await pg.fetchval("select metadata from voice_calls") == (
        '{"end": {"by": "x"}, "campaign": 7}'
    )
    assert await pg.fetchval("select left_at from call_participants") == at(62)


async def test_a_front_end_that_ended_first_keeps_its_end_and_gets_the_rest(
    store: Store, pg: Connection
) -> None:
    header = started()
    row = await pending_row(pg, header.room_name)
    await apply(store, batch(header, leg("a"), connected()))
    await pg.execute(
        "update voice_calls set status = 'completed', ended_at = $2 where id = $1", row, at(30)
    )
    await apply(store, batch(header, message(), usage(), ended("error", 33), first=5))
    found = await call_of(pg, row)
    assert (found["status"], found["ended_at"], found["end_reason"]) == (
        "completed",
        at(30),
        "error",
    )
    assert await total_tokens(pg, row) == 10
    assert await pg.fetchval("select left_at from call_participants") == at(30)


async def test_an_end_stays_whatever_comes_later(store: Store, pg: Connection) -> None:
    header = started()
    row = await apply(store, batch(header, connected(), ended("silence", 20)))
    await apply(store, batch(header, ended("error", 40), message(), first=9))
    await pg.execute("update voice_calls set status = 'active', ended_at = now()")
    found = await call_of(pg, row)
    assert (found["status"], found["ended_at"], found["end_reason"]) == (
        "completed",
        at(20),
        "silence",
    )
    assert await pg.fetchval("select count(*) from voice_messages") == 1


async def test_a_leg_told_after_the_end_is_closed_with_the_call(
    store: Store, pg: Connection
) -> None:
    header, late = started(), leg("late", joined_at=at(59))
    await apply(store, batch(header, ended(seconds=60)))
    await apply(store, batch(header, late, first=4))
    assert await pg.fetchval("select left_at from call_participants") == at(60)


async def test_an_unknown_users_id_is_kept_and_a_known_one_owns_the_call(
    store: Store, pg: Connection
) -> None:
    nobody, first, second = uuid4(), await add_user(pg, "ann"), await add_user(pg, "bob")
    legs = [
        leg("x", user_id=nobody, joined_at=at(1)),
        leg("bob", user_id=second, joined_at=at(3)),
        leg("ann", user_id=first, joined_at=at(2)),
    ]
    row = await apply(store, batch(started(), *legs))
    assert (await call_of(pg, row))["user_id"] == first
    stray = await pg.fetchrow("select user_id, metadata from call_participants order by joined_at")
    assert stray is not None
    assert tuple(stray) == (None, f'{{"userId": "{nobody}"}}')


async def test_an_admins_leg_is_an_admins(store: Store, pg: Connection) -> None:
    """By the role of the signed user id, whatever the leg says of itself."""
    ann, bob = await add_user(pg, "ann", role="admin"), await add_user(pg, "bob")
    legs = [
        leg("ann", user_id=ann),
        leg("bob", user_id=bob, metadata={"role": "admin"}),
        leg("bot", user_id=ann, participant_type="agent"),
    ]
    await apply(store, batch(started(), *legs))
    rows = await pg.fetch("select participant_identity, participant_type from call_participants")
    assert dict(map(tuple, rows)) == {"ann": "admin", "bob": "user", "bot": "agent"}


async def test_a_call_by_phone_says_so_without_its_numbers(store: Store, pg: Connection) -> None:
    """The first leg by phone tells, with the newest attributes; numbers stay with the leg."""
    attributes = {"sip.callID": "SCL_1", "sip.phoneNumber": "+15550100"}
    phone = leg("sip_+15550100", kind="sip", metadata={"attributes": attributes})
    later = leg("sip_2", kind="sip", joined_at=at(9), metadata={"attributes": {"sip.callID": "2"}})
    header = started(metadata={"livekit": {"dispatch_id": "AD_1"}})
    row = await apply(store, batch(header, phone, later, leg("web")))
    now = {"attributes": attributes | {"sip.trunkID": "ST_1"}}
    newer = msgspec.structs.replace(phone, metadata=phone.metadata | {"changed": now})
    await apply(store, batch(header, newer, first=9))
    told = json.loads((await call_of(pg, row))["metadata"])
    assert told == header.metadata | {"sip": {"callID": "SCL_1", "trunkID": "ST_1"}}
    await apply(store, batch(started(), leg("web")))
    assert await pg.fetchval("select count(*) from voice_calls where metadata ? 'sip'") == 1


async def test_widths_and_clocks_cost_no_row(store: Store, pg: Connection) -> None:
    header = started(agent_identity="a" * 300, room_name="r" * 4000)
    long = message(participant_identity="p" * 400, model="m" * 400, content="\N{SNOWMAN}" * 60000)
    clock = message(speech_started_at=at(-4_000_000_000), speech_ended_at=at(0))
    row = await apply(store, batch(header, leg("i" * 400, name="n" * 400), long, clock))
    assert row == header.key
    assert len((await call_of(pg, row))["session_id"]) == 255
    assert await pg.fetchval("select max(audio_duration_ms) from voice_messages") == 2147483647


async def test_a_turn_without_times_of_speech_has_no_duration(store: Store, pg: Connection) -> None:
    """Unknown is null, not 0: what was typed was not spoken."""
    await apply(store, batch(started(), message("typed")))
    row = await pg.fetchrow("select content, audio_duration_ms from voice_messages")
    assert row is not None
    assert tuple(row) == ("typed", None)


async def test_a_number_too_big_refuses_the_batch_with_its_sqlstate(store: Store) -> None:
    with pytest.raises(Refused) as refused:
        await apply(store, batch(started(), message(tokens=2**31)))
    assert refused.value.sqlstate == "22003"


async def test_a_request_for_an_unknown_message_stays_unattached(
    store: Store, pg: Connection
) -> None:
    row = await apply(store, batch(started(), usage(7, message_id=uuid4())))
    assert await pg.fetchval("select message_id from voice_usage") is None
    assert row is not None
    assert await total_tokens(pg, row) == 7


def recorded_call(draw: st.DrawFn) -> tuple[CallStarted, list[Event]]:
    """Draw a call as recorders write it: rows told again and again, in any mix."""
    header = started()
    ids = [new_id() for _ in range(3)]
    events: list[Event] = []
    told: set[UUID] = set()
    for n in range(draw(st.integers(1, 12))):
        id_ = draw(st.sampled_from(ids))
        match draw(st.integers(0, 4)):
            case 0:
                gone = draw(st.sampled_from([None, at(20 + n)]))
                events.append(leg(f"who-{n}", id=_row(id_, 1), joined_at=at(n), left_at=gone))
            case 1 | 2:
                told.add(id_)
                events.append(message(f"turn {n}", id=id_, tokens=n, interrupted=n % 2 == 0))
            case 3:
                bound = id_ if id_ in told else None
                events.append(usage(n, id=_row(id_, 2), message_id=bound, model=f"m-{n}"))
            case 4:
                events.append(connected(n))
    if draw(st.booleans()):
        place = draw(st.integers(max(0, len(events) - 2), len(events)))
        events.insert(place, ended(draw(st.sampled_from(["caller_hangup", "error"]))))
    return header, events


def _row(id_: UUID, kind: int) -> UUID:
    return UUID(int=id_.int ^ kind)


histories = st.composite(recorded_call)


@pytest.mark.every_postgres
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(call=histories(), data=st.data())
async def test_any_batching_and_any_replay_gives_the_rows_of_one_batch(
    store: Store, pg: Connection, call: tuple[CallStarted, list[Event]], data: st.DataObject
) -> None:
    header, events = call
    parts: list[tuple[int, int]] = []
    done = 0
    while done < len(events):
        if data.draw(st.booleans()):  # a restart: again from the start of the file
            parts.append((0, data.draw(st.integers(0, done))))
        end = data.draw(st.integers(done + 1, len(events)))
        parts.append((done, end))
        done = end
    parts += [(0, len(events))] * data.draw(st.integers(0, 2))
    rows = []
    for way in ([(0, len(events))], parts):
        await pg.execute("truncate voice_calls cascade")
        for start, end in way:
            await store.apply([batch(header, *events[start:end], first=3 + start)])
        rows.append(await snapshot(pg))
    assert rows[1] == rows[0]
