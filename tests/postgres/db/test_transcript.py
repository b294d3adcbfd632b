"""The transcript of a call: there when it has ended, however it ended, and as it was heard."""

from uuid import UUID

import pytest

from callrecord.events import new_id
from callrecord.postgres.store import Store
from callrecord.postgres.workers import Workers
from tests.faults.heartbeats import LIMIT_S, beaten, silent, watching
from tests.postgres.applied import apply, call_of, pending_row
from tests.postgres.server import Connection, as_user
from tests.unit.callrecord.calls import at, batch, connected, ended, leg, message, started

TURNS = (
    message("Hello there.", role="assistant", at=at(3)),
    message(" Where is my order? ", at=at(7), participant_identity="ada"),
    message("It is on", role="assistant", at=at(75), interrupted=True, generated_content="It is …"),
    message("", role="assistant", at=at(76), interrupted=True, generated_content="unheard"),
    message("lookup()", role="system", at=at(74), metadata={"kind": "tool_call"}),
)
WRITTEN = """\
[00:01] Agent: Hello there.
[00:05] Ada: Where is my order?
[01:13] Agent: It is on (interrupted)"""
EVENTS = (leg("ada", name="Ada"), connected(2), *TURNS)


async def transcript_of(pg: Connection, call: UUID | None) -> str | None:
    """Return a call's transcript."""
    found = (await call_of(pg, call))["transcript"]
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.every_postgres
async def test_it_is_written_with_the_end(store: Store, pg: Connection) -> None:
    header = started()
    call = await apply(store, batch(header, *EVENTS))
    assert await transcript_of(pg, call) is None
    await apply(store, batch(header, ended(), first=20))
    assert await transcript_of(pg, call) == WRITTEN


async def test_a_late_turn_is_added(store: Store, pg: Connection) -> None:
    header = started()
    call = await apply(store, batch(header, *EVENTS, ended()))
    late = message("One more thing.", at=at(80), participant_identity="phone")
    await apply(store, batch(header, late, first=30))
    assert await transcript_of(pg, call) == f"{WRITTEN}\n[01:18] Caller: One more thing."


async def test_of_a_call_that_the_front_end_ends(store: Store, pg: Connection) -> None:
    header = started()
    call = await apply(store, batch(header, *EVENTS))
    user = await pg.fetchval("insert into users (name) values ('ann') returning id")
    await pg.execute("update voice_calls set user_id = $2 where id = $1", call, user)
    async with as_user(pg, user):
        await pg.execute(
            "update voice_calls set status = 'completed', ended_at = now() where id = $1", call
        )
    assert await transcript_of(pg, call) == WRITTEN
    late = message("Bye.", at=at(80), participant_identity="ada")
    await apply(store, batch(header, late, ended(), first=30))
    assert await transcript_of(pg, call) == f"{WRITTEN}\n[01:18] Ada: Bye."


async def test_of_a_call_whose_worker_is_lost(
    store: Store, pg: Connection, workers: Workers
) -> None:
    lost = await beaten(workers)
    call = await apply(store, batch(started(worker_id=lost), *EVENTS))
    await silent(pg, lost, LIMIT_S)
    await workers.sweep(await watching(workers, pg))
    row = await call_of(pg, call)
    assert (row["end_reason"], row["transcript"]) == ("worker_lost", WRITTEN)


async def test_somebody_elses_stays(store: Store, pg: Connection) -> None:
    """One that is there before, and one that takes the place of ours."""
    first = started(room_name="own")
    own = await pending_row(pg, "own", transcript="My notes.")
    assert await apply(store, batch(first, *EVENTS, ended())) == own
    assert await transcript_of(pg, own) == "My notes."

    ending = await apply(store, batch(started(), *EVENTS))
    await pg.execute(
        "update voice_calls set status = 'completed', transcript = 'Mine.' where id = $1", ending
    )
    assert await transcript_of(pg, ending) == "Mine."

    second = started()
    call = await apply(store, batch(second, message("Hello.", at=at(3)), ended()))
    await pg.execute("update voice_calls set transcript = 'Corrected.' where id = $1", call)
    await apply(store, batch(second, message("Late.", at=at(80)), first=30))
    assert await transcript_of(pg, call) == "Corrected."


async def test_what_somebody_has_taken_out_stays_out(store: Store, pg: Connection) -> None:
    """The whole of it, a turn, or words of a turn."""
    header = started()
    turns = (message("One."), message("My card is 4111."), message("Her name is Eve."))
    call = await apply(store, batch(header, connected(2), *turns, ended()))
    await pg.execute("delete from voice_messages where id = $1", turns[1].id)
    assert await transcript_of(pg, call) == "[00:03] Caller: One.\n[00:03] Caller: Her name is Eve."
    await pg.execute("update voice_messages set content = 'Two.' where id = $1", turns[2].id)
    assert await transcript_of(pg, call) == "[00:03] Caller: One.\n[00:03] Caller: Two."
    await pg.execute("update voice_calls set transcript = null where id = $1", call)
    await apply(store, batch(header, message("Late."), first=30))
    assert await transcript_of(pg, call) is None

    header = started()
    only = message("Hello.")
    call = await apply(store, batch(header, only, ended()))
    await pg.execute("delete from voice_messages where id = $1", only.id)
    assert await transcript_of(pg, call) is None


async def test_nobody_speaks_for_another(store: Store, pg: Connection) -> None:
    """By line breaks in what one says, types or is called, or by the agent's name."""
    said = (
        message("Hi\r\n[00:07] Agent: Yes.\u2028[00:08] Agent: No.", participant_identity="eve"),
        message("And I.", participant_identity="mallory"),
        message("And I.", participant_identity="oscar"),
        message("Hello.", role="assistant", participant_identity="robot"),
    )
    legs = (
        leg("eve", name="Eve\n[00:02] Agent: Sure"),
        leg("mallory", name=" aGENT "),
        leg("oscar", name="robin"),
        leg("robot", name="Robin", participant_type="agent", kind="agent"),
    )
    call = await apply(store, batch(started(), *legs, connected(2), *said, ended()))
    assert await transcript_of(pg, call) == (
        "[00:03] Eve [00 02] Agent Sure: Hi [00:07] Agent: Yes. [00:08] Agent: No.\n"
        "[00:03] Caller: And I.\n"
        "[00:03] Caller: And I.\n"
        "[00:03] Robin: Hello."
    )


async def test_of_a_call_of_hours(store: Store, pg: Connection) -> None:
    call = await apply(
        store, batch(started(), connected(0), message("Still here.", at=at(7265)), ended())
    )
    assert await transcript_of(pg, call) == "[121:05] Caller: Still here."


async def test_nobody_is_named_by_a_phone_number(store: Store, pg: Connection) -> None:
    phone = leg("sip_+4915112345678", name="Phone +4915112345678", kind="sip")
    said = message("Hello?", at=at(3), participant_identity=phone.identity)
    call = await apply(store, batch(started(), phone, connected(2), said, ended()))
    assert await transcript_of(pg, call) == "[00:01] Caller: Hello?"


async def test_a_call_without_a_word_has_none(store: Store, pg: Connection) -> None:
    call = await apply(store, batch(started(key=new_id()), connected(2), ended()))
    assert await transcript_of(pg, call) is None


async def test_a_nameless_agent_makes_nobody_nameless(store: Store, pg: Connection) -> None:
    agent = leg("agent", participant_type="agent", name=None)
    call = await apply(store, batch(started(), agent, *EVENTS, ended()))
    assert await transcript_of(pg, call) == WRITTEN


async def test_turns_stand_in_the_order_in_which_they_were_spoken(
    store: Store, pg: Connection
) -> None:
    """Of two sessions at once each commits its turns when it likes."""
    turns = (
        message("I interpret.", role="assistant", at=at(30), speech_started_at=at(12)),
        message("Buenos dias.", at=at(20), speech_started_at=at(10)),
        message("And you are?", role="assistant", at=at(21), speech_started_at=at(21)),
    )
    call = await apply(store, batch(started(), connected(2), *turns, ended()))
    text = await transcript_of(pg, call)
    assert text is not None
    assert [line.rpartition("] ")[2] for line in text.splitlines()] == [
        "Caller: Buenos dias.",
        "Agent: I interpret.",
        "Agent: And you are?",
    ]
