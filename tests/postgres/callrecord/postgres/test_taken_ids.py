"""Somebody knows an id that the recorder has made, and uses it before the worker stores its row."""

import pytest

from callrecord.postgres.store import Store
from tests.postgres.applied import apply, snapshot
from tests.postgres.people import People
from tests.postgres.rows import total_tokens
from tests.postgres.server import Connection, as_user
from tests.unit.callrecord.calls import batch, connected, ended, leg, message, started, usage

ADD_CALL = "insert into voice_calls (id, user_id, session_id, room_name) values ($1, $2, $3, 'r')"


async def test_a_message_and_a_leg_under_a_taken_id_are_stored_in_their_own_call(
    store: Store, pg: Connection, people: People
) -> None:
    header, words, caller = started(), message("of the call"), leg("caller")
    request = usage(7, message_id=words.id)
    async with as_user(pg, people.eve):
        await pg.execute(
            "insert into voice_messages (id, call_id, role, content) "
            "values ($1, $2, 'user', 'eve')",
            words.id,
            people.eves_call,
        )
        await pg.execute(
            "insert into call_participants (id, call_id, participant_identity) "
            "values ($1, $2, 'eve')",
            caller.id,
            people.eves_call,
        )
    early = batch(header, request, first=3)
    whole = batch(header, request, caller, words, usage(7, id=request.id, message_id=words.id))
    row = await apply(store, early)
    assert await total_tokens(pg, people.eves_call) == 0
    await apply(store, whole)
    stored = await snapshot(pg)
    await apply(store, early)
    await apply(store, whole)
    assert await snapshot(pg) == stored
    spoken = {(m["call_id"], m["content"]): m["id"] for m in stored["voice_messages"]}
    assert spoken[row, "of the call"] == words.id
    assert (people.eves_call, "eve") in spoken
    legs = {(p["call_id"], p["participant_identity"]): p["id"] for p in stored["call_participants"]}
    assert legs[row, "caller"] == caller.id
    assert (people.eves_call, "eve") in legs
    assert {u["message_id"] for u in stored["voice_usage"] if u["call_id"] == row} == {words.id}


@pytest.mark.parametrize("gone", [False, True])
async def test_a_call_whose_key_is_taken_is_stored_all_the_same(
    store: Store, pg: Connection, people: People, *, gone: bool
) -> None:
    header = started()
    async with as_user(pg, people.eve):
        await pg.execute(ADD_CALL, header.key, people.eve, "eves")
        if gone:
            await pg.execute("delete from voice_calls where id = $1", header.key)
    row = await apply(store, batch(header, leg(), connected(), message()))
    assert (row == header.key) is gone
    assert await apply(store, batch(header, message(), ended(), first=9)) == row
    assert await pg.fetchval("select count(*) from voice_messages where call_id = $1", row) == 2
    async with as_user(pg, people.eve):
        rest = "select count(*) from voice_messages where call_id <> $1"
        assert await pg.fetchval(rest, people.eves_call) == 0


async def test_who_makes_a_deleted_call_again_is_given_nothing_of_it(
    store: Store, pg: Connection, people: People
) -> None:
    header = started()
    row = await apply(store, batch(header, leg(user_id=people.ann), leg(user_id=people.bob)))
    async with as_user(pg, people.ann):
        await pg.execute("delete from voice_calls where id = $1", row)
    async with as_user(pg, people.bob):
        await pg.execute(ADD_CALL, row, people.bob, header.room_name)
    assert await apply(store, batch(header, message(), usage(), first=9)) is None
    assert await pg.fetchval("select count(*) from voice_messages where call_id = $1", row) == 0
