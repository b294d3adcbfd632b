"""Ends that no caller brings about, in real rooms."""

from typing import Any
from uuid import uuid4

import pytest

from callrecord.recording.livekit_rooms import Rooms
from callrecord.shipping.heartbeat import LEGS_EVERY_S
from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Rows
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.steps import is_closed, livekit
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = pytest.mark.room


async def test_typed_text_and_hang_up(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """Text is a turn of its own; after the agent's goodbye nobody is left on the line."""
    room = f"typed-{uuid4().hex[:8]}"
    seen = worker.log.stat().st_size
    async with Caller(server, room=room, voice=voice) as caller:
        await caller.join()
        await caller.agent_speaking()
        await caller.agent_quiet()
        assert caller._line is not None
        await caller._line.room.local_participant.send_text("What is your name?", topic="lk.chat")
        await caller.agent_speaking()
        await caller.agent_quiet()
        await caller.speak("Thank you, goodbye.")
        rows = await Reader(pg).ended(room, timeout_s=60)
        await until(lambda: is_closed(server, room), what="the room to be closed")
    assert rows.call["end_reason"] == "agent_hangup"
    typed, spoken = (message for message in rows.messages if message["role"] == "user")
    assert (typed["content"], typed["model_used"]) == ("What is your name?", None)
    assert "bye" in spoken["content"].lower()
    assert said(rows, "assistant")[1] == "My name is Robin. What is yours?"
    assert b"Traceback" not in worker.log.read_bytes()[seen:]


@pytest.mark.usefixtures("worker")
async def test_hand_over_to_a_human(
    stack: Stack, server: Server, voice: Voice, pg: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent says so and goes, the caller stays in the room, and the row has the note.

    The caller's leg goes on until somebody looks into the room and finds nobody.
    """
    room = f"human-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await caller.join()
        await caller.agent_speaking()
        await caller.agent_quiet()
        await caller.speak("I want to talk to a human, please.")
        rows = await Reader(pg).ended(room, timeout_s=60)
        await until(lambda: caller.agent() is None, what="the agent to leave")
        assert not await is_closed(server, room)
        (talks,) = _open_legs(rows)
        assert talks["participant_type"] == "user"
        with monkeypatch.context() as environment:
            for name, value in stack.env().items():
                environment.setenv(name, value)
            assert await Rooms().inside(room) == {talks["participant_sid"]}
            assert await Rooms().inside("another") == set()
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "transferred")
    await Reader(pg).when(
        room, lambda rows: not _open_legs(rows), timeout_s=2 * LEGS_EVERY_S, what="the last leave"
    )
    note = {"reason": "asked for it", "summary": "Wants to talk about an invoice."}
    assert rows.call["metadata"]["end"] == {"handover": note}
    assert said(rows, "assistant")[-1] == "I will get a colleague for you, please hold the line."
    tools = [row["metadata"]["name"] for row in rows.messages if row["role"] == "system"]
    assert tools == ["hand_over"]


@pytest.mark.usefixtures("worker")
async def test_a_deleted_dispatch(server: Server, voice: Voice, pg: Connection) -> None:
    """LiveKit ends the job in the words of a drain; the caller stays, and nothing was drained."""
    room = f"dispatch-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await caller.join()
        await caller.agent_speaking()
        await caller.agent_quiet()
        async with livekit(server) as client:
            (dispatch,) = await client.agent_dispatch.list_dispatch(room)
            await client.agent_dispatch.delete_dispatch(dispatch.id, room)
        rows = await Reader(pg).ended(room, timeout_s=60)
        assert not await is_closed(server, room)
    assert (rows.call["status"], rows.call["end_reason"]) == ("completed", "dispatch_deleted")


def _open_legs(rows: Rows) -> list[dict[str, Any]]:
    return [leg for leg in rows.participants if leg["left_at"] is None]
