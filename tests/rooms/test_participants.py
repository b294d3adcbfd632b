"""Who is in a room besides one caller and the agent: each in a real room."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from openai import AsyncOpenAI

from local.caller import Caller, Role, Server
from local.caller.voice import Voice
from local.demo.rows import Row, Rows
from local.stack import Stack
from tests.postgres.server import Connection, database
from tests.rooms.rows import Reader, said
from tests.rooms.stack import SCRIPT
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import set_script

pytestmark = pytest.mark.room


SAID = ("What is your name?", "Tell me a story.", "What would your name be?", "I am not the first.")


@pytest.fixture
def room() -> str:
    """A room of the test's own."""
    return f"people-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def server(stack: Stack) -> Server:
    """The LiveKit server, whose rooms ask for the worker of these tests."""
    return Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name="participants")


@pytest.fixture(scope="module")
async def voice(stack: Stack) -> AsyncIterator[Voice]:
    """The callers' voice, which has said all it will say; until the end speech is a short tone."""
    script = json.loads(SCRIPT.read_text())
    client = AsyncOpenAI(base_url=stack.openai_base_url, api_key=stack.openai_api_key)
    async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice, client:
        for text in SAID:
            await voice.speak(text)
        await set_script(client, script | {"tts": "tone"})
        try:
            yield voice
        finally:
            await set_script(client, script)


@pytest.fixture(scope="module")
async def database_url(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of one database for all calls."""
    async with database(postgres_server, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module", autouse=True)
async def worker(
    stack: Stack,
    server: Server,
    voice: Voice,  # noqa: ARG001 - speech is a tone by then
    database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Worker]:
    """The worker, with a grace so short that who keeps a call going shows at once."""
    place: Path = tmp_path_factory.mktemp("participants")
    worker = Worker(
        stack,
        place,
        database_url,
        name=server.agent_name,
        AGENT_REJOIN_GRACE_S="1",
        AGENT_NO_CALLER_TIMEOUT_S="5",
        AGENT_SPEECH_CACHE_DIR=str(place / "speech"),
    )
    await worker.start()
    yield worker
    assert await asyncio.shield(worker.stop()) == 0


async def test_a_call_by_phone(
    server: Server, voice: Voice, pg: Connection, room: str, worker: Worker
) -> None:
    """The leg has what LiveKit's phone bridge tells; the log has no number."""
    attributes = {
        "sip.callID": "SCL_1",
        "sip.trunkID": "ST_1",
        "sip.phoneNumber": "+15550100",
        "sip.trunkPhoneNumber": "+15550199",
        "sip.callStatus": "active",
    }
    caller = Caller(
        server,
        room=room,
        identity="sip_+15550100",
        name="Phone +15550100",
        attributes=attributes,
        role=Role(kind="sip"),
        voice=voice,
    )
    async with caller:
        await caller.join()
        await _greeted(caller)
        await caller.speak("What is your name?")
        await Reader(pg).when(room, lambda rows: bool(said(rows, "user")), what="the turn")
    rows = await Reader(pg).ended(room)
    leg = _leg(rows, "sip_+15550100")
    assert (leg["kind"], leg["participant_type"]) == ("sip", "user")
    answered = leg["answered_at"]
    assert leg["joined_at"] <= answered <= rows.call["connected_at"] + timedelta(seconds=1)
    assert leg["metadata"] == {"attributes": attributes}
    assert leg["direction"] == "outbound"
    assert rows.call["metadata"]["sip"] == {"callID": "SCL_1", "trunkID": "ST_1"}
    assert rows.call["end_reason"] == "caller_hangup"
    spoken = next(message for message in rows.messages if message["role"] == "user")
    assert spoken["participant_identity"] == "sip_+15550100"
    assert "5550100" not in worker.log.read_text()


async def test_devices_agents_and_hidden_ones_keep_no_call_going(
    server: Server, pg: Connection, room: str
) -> None:
    """A recorder and a stream have no leg, a second agent has one, a supervisor is not told of."""
    async with (
        Caller(server, room=room) as caller,
        Caller(server, room=room, identity="rec", role=Role(kind="egress")) as recorder,
        Caller(server, room=room, identity="stream", role=Role(kind="ingress")) as stream,
        Caller(server, room=room, identity="bot", role=Role(kind="agent")) as bot,
        Caller(server, room=room, identity="boss", role=Role(hidden=True)) as supervisor,
    ):
        await caller.join()
        await _greeted(caller)  # first: the caller may take the second agent for the one who talks
        for other in (recorder, stream, bot, supervisor):
            await other.join(create=False)
        await caller.hang_up()
        rows = await Reader(pg).ended(room)
    legs = {leg["participant_identity"]: leg["participant_type"] for leg in rows.participants}
    assert legs == {"caller": "user", "bot": "agent", rows.call["agent_identity"]: "agent"}
    assert rows.call["end_reason"] == "caller_hangup"
    assert _ended_with(rows, "caller")


async def test_a_hidden_participant_is_no_caller(server: Server, pg: Connection, room: str) -> None:
    """A supervisor who waits for a caller in vain: the call ends as one that nobody came to."""
    async with Caller(server, room=room, role=Role(hidden=True)) as supervisor:
        await supervisor.join()
        rows = await Reader(pg).ended(room)
    assert rows.call["end_reason"] == "no_caller"
    assert [leg["participant_type"] for leg in rows.participants] == ["agent"]


async def test_what_a_participant_changes_is_marked(
    server: Server, pg: Connection, room: str
) -> None:
    """Who may name its own user id has none; a hundred changes a second are few rows."""
    user_id, other_id = uuid4(), uuid4()
    for each in (user_id, other_id):
        await pg.execute("insert into users (id, name) values ($1, 'x')", each)
    signed = {"userId": str(user_id), "plan": "basic"}
    caller = Caller(
        server,
        room=room,
        name="Ada",
        metadata=json.dumps(signed),
        attributes={"step": "0"},
        role=Role(may_change_itself=True),
    )
    async with caller:
        await caller.join(muted=True)
        await _greeted(caller)
        rows = await Reader(pg).when(room, lambda rows: len(rows.participants) == 2)
        assert _leg(rows, "caller")["is_muted"]
        caller.unmute()
        claimed = {"userId": str(other_id), "plan": "gold", "role": "admin"}
        await caller.change(name="Countess", metadata=json.dumps(claimed))
        # LiveKit's client sends all three with each change: first it has to know of the others.
        await Reader(pg).when(
            room, lambda rows: _changed(rows).get("metadata") == claimed, what="new metadata"
        )
        for step in range(1, 101):
            await caller.change(attributes={"step": str(step)})
        rows = await Reader(pg).when(
            room,
            lambda rows: _changed(rows).get("attributes") == {"step": "100"},
            what="the last change",
        )
        leg = _leg(rows, "caller")
        assert (leg["user_id"], leg["participant_type"]) == (None, "user")
        assert (leg["participant_name"], leg["is_muted"]) == ("Countess", False)
        assert leg["metadata"] == {
            **signed,
            "attributes": {"step": "0"},
            "changed": {
                "name_at_join": "Ada",
                "metadata": claimed,
                "attributes": {"step": "100"},
            },
        }
        caller.mute()
        await Reader(pg).when(room, lambda rows: _leg(rows, "caller")["is_muted"], what="mute")
        await caller.unpublish()
        await Reader(pg).when(room, lambda rows: not _leg(rows, "caller")["is_muted"])
    rows = await Reader(pg).ended(room)
    assert rows.call["user_id"] is None


async def test_several_people_are_told_apart(
    server: Server, voice: Voice, pg: Connection, room: str
) -> None:
    """Legs for all; what is typed is its sender's, and who stays behind is heard."""
    reader = Reader(pg)
    async with (
        Caller(server, room=room, identity="ada", voice=voice) as ada,
        Caller(server, room=room, identity="bob", voice=voice) as bob,
    ):
        await ada.join()
        await bob.join(create=False)
        await _greeted(ada)
        await ada.speak("Tell me a story.")
        await reader.when(room, lambda rows: len(said(rows, "user")) == 1, what="Ada's turn")
        await ada.agent_speaking()
        await bob.type("I am Bob, and I type.")
        await reader.when(room, lambda rows: len(said(rows, "user")) == 2, what="Bob's text")
        await bob.agent_quiet()
        await ada.hang_up()
        await reader.when(room, lambda rows: bool(_leg(rows, "ada")["left_at"]), what="Ada's leave")
        await bob.speak("What would your name be?")
        rows = await reader.when(room, lambda rows: len(said(rows, "user")) == 3, what="Bob's turn")
        await bob.agent_speaking()
        await bob.agent_quiet()
    rows = await reader.ended(room)
    turns = [message for message in rows.messages if message["role"] == "user"]
    assert [turn["participant_identity"] for turn in turns] == ["ada", "bob", "bob"]
    assert [bool(turn["model_used"]) for turn in turns] == [True, False, True]
    assert turns[1]["content"] == "I am Bob, and I type."
    assert all(turn["metadata"].get("final") is not False for turn in turns)
    assert _ended_with(rows, "bob")
    assert _leg(rows, "ada")["left_at"] < _leg(rows, "bob")["left_at"]


async def test_of_two_who_wait_the_first_is_listened_to(
    server: Server, voice: Voice, pg: Connection, room: str
) -> None:
    """They were there before the agent: LiveKit would listen to any of them."""
    async with (
        Caller(server, room=room, identity="zoe", voice=voice) as zoe,
        Caller(server, room=room, identity="ann", voice=voice) as ann,
    ):
        later = Server(server.url, server.api_key, server.api_secret)
        await later.create_room(room)
        await zoe.join(create=False)
        await ann.join(create=False)
        await server.dispatch(room)
        await _greeted(zoe)
        await ann.speak("I am not the first.")
        await zoe.speak("What is your name?")
        await zoe.agent_speaking()
        await zoe.agent_quiet()
    rows = await Reader(pg).ended(room)
    (turn,) = (message for message in rows.messages if message["role"] == "user")
    assert turn["participant_identity"] == "zoe"
    assert "name" in turn["content"].lower()


async def test_another_caller_comes_within_the_grace(
    server: Server, voice: Voice, pg: Connection, room: str
) -> None:
    """LiveKit waits for the one who left: the worker has it listen to the new one."""
    async with (
        Caller(server, room=room, identity="ada", voice=voice) as ada,
        Caller(server, room=room, identity="bob", voice=voice) as bob,
    ):
        await ada.join()
        await _greeted(ada)
        await ada.hang_up()
        await bob.join(create=False)
        await bob.agent_joined()
        await bob.speak("What is your name?")
        await bob.agent_speaking()
        await bob.agent_quiet()
    rows = await Reader(pg).ended(room)
    (turn,) = (message for message in rows.messages if message["role"] == "user")
    assert turn["participant_identity"] == "bob"
    assert said(rows, "assistant")[-1] == "My name is Robin. What is yours?"


async def _greeted(caller: Caller) -> None:
    await caller.agent_speech(0.0, timeout_s=60)  # it may be over already
    await caller.agent_quiet()


def _leg(rows: Rows, identity: str) -> Row:
    (leg,) = (each for each in rows.participants if each["participant_identity"] == identity)
    return leg


def _ended_with(rows: Rows, identity: str) -> bool:
    late = rows.call["ended_at"] - _leg(rows, identity)["left_at"]
    return bool(abs(late.total_seconds()) < 0.5)


def _changed(rows: Rows) -> Row:
    changed: Row = _leg(rows, "caller")["metadata"].get("changed", {})
    return changed
