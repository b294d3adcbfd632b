"""Front ends and workers write into one call at once, over connections of their own.

What hypothesis makes are the writers' programs and pauses; who comes first is up to Postgres, so an
example that fails may pass the next time: the property has to hold for every order.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callrecord.events import new_id
from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Store
from tests.postgres.rows import add_call, add_leg, add_user, total_tokens
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import batch, message, started

TOKENS = 3


@dataclass(frozen=True)
class Typing:
    """A front end counts the messages, then adds some with the numbers that follow.

    Attributes:
        messages: How many, in one statement each or all in one.
        held: They are one transaction, which stays open for some turns of the loop.
    """

    messages: int
    one_statement: bool
    held: bool
    pause: int


@dataclass(frozen=True)
class Shipping:
    """A worker's batch of new messages, then all batches from `again_from` on once more."""

    messages: int
    again_from: int
    pause: int


pauses = st.integers(0, 6)
typings = st.builds(Typing, st.integers(1, 3), st.booleans(), st.booleans(), pauses)
shippings = st.builds(Shipping, st.integers(1, 4), st.integers(0, 4), pauses)


class Numbers:
    """Every number that anybody has seen: none may ever be another."""

    def __init__(self, call: UUID) -> None:
        self._call = call
        self.seen: dict[UUID, int] = {}

    async def look(self, conn: Connection) -> None:
        """Read them all, and compare."""
        rows = await conn.fetch(
            "select id, sequence_number from voice_messages where call_id = $1", self._call
        )
        for row in rows:
            assert self.seen.setdefault(row["id"], row["sequence_number"]) == row["sequence_number"]


@dataclass(frozen=True)
class Writers:
    """Two signed-in users and two workers, each with a connection of his own."""

    users: dict[UUID, Connection]
    stores: tuple[Store, Store]


@pytest.fixture
async def writers(pg: Connection, dsn: str, database_url: str) -> AsyncIterator[Writers]:
    users = {}
    for name in ("ann", "bob"):
        user_id = await add_user(pg, name)
        conn = users[user_id] = await asyncpg.connect(database_url)
        claims = json.dumps({"sub": str(user_id)})
        await conn.execute("select set_config('request.jwt.claims', $1, false)", claims)
        await conn.execute("set role authenticated")
    stores = (Store(dsn), Store(dsn))
    yield Writers(users, stores)
    for conn in users.values():
        await conn.close()
    for store in stores:
        await store.close()


async def rest(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def type_in(
    conn: Connection, call: UUID, program: list[Typing], numbers: Numbers
) -> list[UUID]:
    """Do what the front end does; return the ids in the order they were inserted."""
    ids: list[UUID] = []

    async def insert(step: Typing) -> None:
        count = await conn.fetchval("select count(*) from voice_messages where call_id = $1", call)
        new = [(new_id(), count + nth) for nth in range(1, step.messages + 1)]
        for some in [new] if step.one_statement else [[each] for each in new]:
            await conn.execute(
                """
                insert into voice_messages
                    (id, call_id, role, content, sequence_number, tokens_used)
                select id, $1, 'user', 'words', number, $4
                from unnest($2::uuid[], $3::int[]) with ordinality as r (id, number, place)
                order by place
                """,
                call,
                [id_ for id_, _ in some],
                [number for _, number in some],
                TOKENS,
            )
            ids.extend(id_ for id_, _ in some)

    for step in program:
        await rest(step.pause)
        if step.held:
            async with conn.transaction():
                await insert(step)
                await rest(step.pause)
        else:
            await insert(step)
        await numbers.look(conn)
    return ids


async def ship(store: Store, batches: list[CallBatch], program: list[Shipping]) -> None:
    for place, step in enumerate(program):
        await rest(step.pause)
        await store.apply([batches[place]])
        for again in batches[step.again_from : place + 1]:
            await store.apply([again])


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    typed=st.tuples(*[st.lists(typings, min_size=1, max_size=4)] * 2),
    shipped=st.lists(shippings, min_size=1, max_size=5),
)
async def test_numbers_are_unique_in_order_and_for_good(
    pg: Connection,
    writers: Writers,
    typed: tuple[list[Typing], list[Typing]],
    shipped: list[Shipping],
) -> None:
    (ann, ann_conn), (bob, bob_conn) = writers.users.items()
    call = await add_call(pg, ann)
    await add_leg(pg, call, bob, "bob")
    header = started(call_id=str(call))
    turns = [[message(tokens=TOKENS) for _ in range(step.messages)] for step in shipped]
    firsts = accumulate((step.messages for step in shipped), initial=3)
    batches = [
        batch(header, *some, first=first) for some, first in zip(turns, firsts, strict=False)
    ]
    numbers = Numbers(call)

    of_ann, of_bob, _, _ = await asyncio.gather(
        type_in(ann_conn, call, typed[0], numbers),
        type_in(bob_conn, call, typed[1], numbers),
        # The same file twice at once: a worker that was thought dead, and who took over.
        ship(writers.stores[0], batches, shipped),
        ship(writers.stores[1], batches, shipped),
    )
    await numbers.look(pg)
    of_worker = [turn.id for some in turns for turn in some]
    everything = [*of_ann, *of_bob, *of_worker]
    assert sorted(numbers.seen.values()) == list(range(1, len(everything) + 1))
    for ids in (of_ann, of_bob, of_worker):
        assert all(numbers.seen[one] < numbers.seen[next_] for one, next_ in pairwise(ids))
    await ship(writers.stores[0], batches, shipped)
    await numbers.look(pg)
    assert set(numbers.seen) == set(everything)
    # Those that the front ends claim are not counted.
    assert await total_tokens(pg, call) == TOKENS * sum(len(some) for some in turns)
