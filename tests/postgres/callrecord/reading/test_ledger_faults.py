"""Whether a call's ledger is complete, when several jobs have served the call."""

from itertools import permutations, product

import msgspec
import pytest

from callrecord.events import CallEnded
from callrecord.postgres.batch import CallBatch
from callrecord.postgres.store import Store
from callrecord.reading import ledger_faults
from tests.postgres.applied import apply, call_of
from tests.postgres.server import Connection
from tests.unit.callrecord.calls import at, batch, ended, started, usage

CUT = "llm openai/gpt: 2 cut by the job's death"
MUTE = "tts acme/voice: 1 request without figures"


def told(gaps: list[str], reason: str = "caller_hangup", *, complete: bool = False) -> CallEnded:
    return msgspec.structs.replace(ended(reason), usage_complete=complete, usage_gaps=gaps)


def jobs(*ends: CallEnded) -> list[CallBatch]:
    """Return jobs that served one room, one after the other."""
    first = started()
    return [
        batch(started(room_name=first.room_name, room_sid=first.room_sid, at=at(10 * n)), end)
        for n, end in enumerate(ends)
    ]


CASES = [
    ([told([CUT], "worker_crashed"), told([], complete=True)], (False, [CUT])),
    ([told([CUT], "worker_crashed"), told([MUTE])], (False, [CUT, MUTE])),
    ([told([], complete=True), told([], complete=True)], (True, None)),
    ([told([], "worker_crashed"), told([], complete=True)], (False, [])),
    (
        [told([], complete=True), told([MUTE], "worker_crashed"), told([MUTE, CUT])],
        (False, [CUT, MUTE]),
    ),
]


@pytest.mark.parametrize(("ends", "ledger"), CASES)
async def test_a_job_that_died_leaves_its_gaps_whoever_ends_the_call(
    store: Store, pg: Connection, ends: list[CallEnded], ledger: tuple[bool, list[str] | None]
) -> None:
    """In whatever order their files arrive, and though they arrive again."""
    for order, again in product(permutations(range(len(ends))), (False, True)):
        served = jobs(*ends)
        for n in (*order, *(order if again else ())):
            row = await apply(store, served[n])
        call = await call_of(pg, row)
        assert (call["usage_complete"], call["usage_gaps"]) == ledger


@pytest.mark.every_postgres
async def test_while_the_next_job_goes_on_the_gaps_stay(store: Store, pg: Connection) -> None:
    crashed, next_one = jobs(told([CUT], "worker_crashed"), told([], complete=True))
    row = await apply(store, crashed)
    await apply(store, batch(next_one.header))
    call = await call_of(pg, row)
    assert (call["status"], call["usage_complete"], call["usage_gaps"]) == ("pending", False, [CUT])


async def test_what_it_had_begun_is_no_fault_of_the_ledger(store: Store, pg: Connection) -> None:
    """A gap says it; in a ledger without one it would be a fault."""
    begun = usage(10, metadata={"open": True})
    crashed, last = jobs(told([CUT], "worker_crashed"), told([], complete=True))
    row = await apply(store, batch(crashed.header, begun, crashed.entries[0].event))
    await apply(store, last)
    assert row is not None
    assert await ledger_faults(pg, row) == []
    await pg.execute("update voice_calls set usage_gaps = $1", [MUTE])
    assert await ledger_faults(pg, row) == [f"request {begun.id} has no end"]
