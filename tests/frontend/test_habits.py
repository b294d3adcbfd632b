"""What a front end does, with Supabase's own client, while the worker writes to the same calls."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from callrecord.postgres.store import Store
from tests.frontend.front_end import FrontEnd, RefusedError, front_end
from tests.postgres.applied import apply
from tests.postgres.rows import add_user
from tests.postgres.server import Connection, database
from tests.unit.callrecord.calls import at, batch, connected, ended, enlisted, leg, message, started


@dataclass(frozen=True)
class House:
    """A database with its front end, its worker's store and its owner's connection."""

    front_end: FrontEnd
    store: Store
    owner: Connection

    async def user(self) -> UUID:
        """Make a user."""
        return await add_user(self.owner, f"ann-{uuid4().hex}")

    async def call(self, user: UUID) -> tuple[UUID, str]:
        """Make a pending call as the front end does; return its id and its room's name."""
        room = f"call-{user}-{uuid4().hex}"
        return UUID(await self.front_end.do(user, "createCall", user, room)), room


@pytest.fixture(scope="module")
async def house(
    postgres_server: str, migrated_template: str, sources: Path
) -> AsyncIterator[House]:
    """One for all tests of this file, each with users of its own."""
    async with (
        database(postgres_server, template=migrated_template) as url,
        front_end(sources, url, sources / "rest.log") as asking,
        enlisted(url) as dsn,
    ):
        store, owner = Store(dsn), await asyncpg.connect(url)
        try:
            yield House(asking, store, owner)
        finally:
            await store.close()
            await owner.close()


async def test_the_worker_takes_up_the_row_that_the_rooms_metadata_names(house: House) -> None:
    ann = await house.user()
    call, room = await house.call(ann)
    found = await house.front_end.do(ann, "callById", call)
    assert (found["status"], found["session_id"], found["user_id"]) == ("pending", room, str(ann))
    header = started(room_name=room, call_id=str(call))
    assert await apply(house.store, batch(header, connected())) == call
    found = await house.front_end.do(ann, "callById", call)
    assert (found["status"], found["room_sid"]) == ("active", header.room_sid)


async def test_the_front_end_joins_and_ends_a_call_by_itself(house: House) -> None:
    ann = await house.user()
    call, _ = await house.call(ann)
    joined = await house.front_end.do(ann, "joinCall", call)
    assert (joined["status"], joined["ended_at"]) == ("active", None)
    assert joined["connected_at"] is not None
    over = await house.front_end.do(ann, "endCall", call)
    assert (over["status"], over["duration_seconds"]) == ("completed", 0)
    assert over["connected_at"] == joined["connected_at"]


@pytest.mark.parametrize("reason", ["caller_hangup", "no_caller"])
async def test_a_late_join_or_end_is_taken_and_changes_nothing(house: House, reason: str) -> None:
    ann = await house.user()
    call, room = await house.call(ann)
    await apply(house.store, batch(started(room_name=room, call_id=str(call)), ended(reason)))
    before = await house.front_end.do(ann, "callById", call)
    assert before["end_reason"] == reason
    for habit in ("joinCall", "endCall"):
        assert await house.front_end.do(ann, habit, call) == before


async def test_two_writers_who_count_to_one_number_both_succeed(house: House) -> None:
    ann = await house.user()
    call, room = await house.call(ann)
    assert await house.front_end.do(ann, "addMessage", call, "first") == 1
    row = {"call_id": call, "role": "user", "content": "second", "sequence_number": 2}
    header = started(room_name=room, call_id=str(call))
    await asyncio.gather(
        house.front_end.do(ann, "insertMessage", row),
        house.front_end.do(ann, "insertMessage", row),
        apply(house.store, batch(header, message("third"), message("fourth"))),
    )
    assert await house.front_end.do(ann, "countMessages", call) == 5
    assert await house.front_end.do(ann, "addMessage", call, "last") == 6
    found = await house.front_end.do(ann, "messagesOf", call)
    assert [each["sequence_number"] for each in found] == [1, 2, 3, 4, 5, 6]
    assert found[0]["content"] == "first"
    assert found[-1]["content"] == "last"


async def test_reads_show_ones_own_calls_and_nobody_elses(house: House) -> None:
    ann, eve = await house.user(), await house.user()
    made = [await house.call(ann) for _ in range(21)]
    call, room = made[-1]
    await house.front_end.do(ann, "joinCall", call)
    newest = await house.front_end.do(ann, "callsOf", ann)
    assert [each["id"] for each in newest] == [str(each) for each, _ in reversed(made[1:])]
    assert (await house.front_end.do(ann, "callBySession", room))["id"] == str(call)
    active = await house.front_end.do(ann, "activeCalls")
    assert [(each["id"], each["participants"]) for each in active] == [(str(call), [])]
    assert await house.front_end.do(eve, "callById", call) is None
    assert await house.front_end.do(eve, "callsOf", ann) == []
    assert await house.front_end.do(eve, "activeCalls") == []
    with pytest.raises(RefusedError, match="PGRST116"):  # no row
        await house.front_end.do(eve, "endCall", call)


async def test_a_rejoin_is_a_leg_and_a_reused_room_name_is_a_call(house: House) -> None:
    ann = await house.user()
    call, room = await house.call(ann)
    header = started(room_name=room, call_id=str(call))
    stays = [
        leg(user_id=ann, joined_at=at(1), left_at=at(5)),
        leg(user_id=ann, joined_at=at(9), left_at=at(60)),
    ]
    await apply(house.store, batch(header, connected(), *stays, message(), ended()))
    # The name again, an hour later: the room's metadata is still that of the first call.
    again = started(room_name=room, call_id=str(call), at=at(3600), room_created_at=at(3599))
    other = await apply(house.store, batch(again, leg(user_id=ann), message("a"), message("b")))
    assert other not in {call, None}
    whole = await house.front_end.do(ann, "wholeCall", call)
    assert whole == {"status": "completed", "words": ["words"], "legs": [str(ann)] * 2}
    # The second call has no owner; who took part in it reads it.
    assert (await house.front_end.do(ann, "callBySession", room))["id"] == str(call)
    reused = await house.front_end.do(ann, "callBySession", f"{room}@{again.room_sid}")
    assert (reused["id"], reused["room_name"]) == (str(other), room)
    assert len(await house.front_end.do(ann, "messagesOf", other)) == 2


async def test_a_deleted_call_is_gone_and_stays_gone(house: House) -> None:
    ann, eve = await house.user(), await house.user()
    call, room = await house.call(ann)
    header = started(room_name=room, call_id=str(call))
    await apply(house.store, batch(header, message()))
    await house.front_end.do(eve, "deleteCall", call)
    assert await house.front_end.do(ann, "callById", call) is not None
    await house.front_end.do(ann, "deleteCall", call)
    assert await apply(house.store, batch(header, message(), ended(), first=4)) is None
    assert await house.front_end.do(ann, "callById", call) is None
    assert await house.front_end.do(ann, "messagesOf", call) == []


async def test_what_is_the_workers_is_refused_with_postgres_code(house: House) -> None:
    ann, eve = await house.user(), await house.user()
    call, room = await house.call(ann)
    for user, habit, *arguments in (
        (ann, "insertMessage", {"call_id": call, "role": "assistant", "content": "words"}),
        (ann, "insertMessage", {"call_id": call, "role": "user", "content": "", "revision": 1}),
        (eve, "addMessage", call, "words"),
        (eve, "createCall", ann, "another room"),
    ):
        with pytest.raises(RefusedError) as refused:
            await house.front_end.do(user, habit, *arguments)
        assert refused.value.code == "42501"
    with pytest.raises(RefusedError) as refused:
        await house.front_end.do(ann, "createCall", ann, room)
    assert refused.value.code == "23505"


async def test_another_services_id_in_the_token_is_refused_in_words(house: House) -> None:
    ann = await house.user()
    await house.call(ann)
    with pytest.raises(RefusedError, match="22P02: the token's sub must be a uuid") as refused:
        await house.front_end.do("user_2abNSNd3oLEJ3lNqh5FQzDcOe2C", "callsOf", ann)
    assert refused.value.code == "22P02"
