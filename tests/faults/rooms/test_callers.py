"""Callers who are there first, drop, come back, or are there twice."""

from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from tests.faults.rooms.ledger import GREETING, NAME, Ledger, ended, nothing_left
from tests.postgres.server import Connection
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = pytest.mark.room

SETTINGS = {"AGENT_REJOIN_GRACE_S": "4"}


@pytest.mark.slow_fault
async def test_38_52_a_caller_is_there_first_and_drops_and_comes_twice(
    worker: Worker, server: Server, voice: Voice, pg: Connection
) -> None:
    """It is one call with a leg for each stay, and the agent answers in each."""
    room = f"callers-{uuid4().hex[:8]}"
    async with (
        Caller(server, room=room, voice=voice) as caller,
        Caller(server, room=room, voice=voice) as again,
    ):
        ledger = Ledger(caller)
        await Server(server.url, server.api_key, server.api_secret).create_room(room)
        await caller.join(create=False)
        await server.dispatch(room)
        await caller.agent_speech(0.0, timeout_s=60)
        await caller.agent_quiet()
        ledger.replies.append(GREETING)
        await ledger.ask()
        await caller.rejoin()
        await caller.agent_joined()
        await ledger.ask()
        # The same identity from another device: LiveKit puts the first one out.
        await again.join(create=False)
        line = caller._line
        assert line is not None
        await until(lambda: line.closed_because, what="the first one's end")
        second = Ledger(again, ledger.turns, ledger.replies)
        await again.agent_joined()
        await second.ask()
        await again.hang_up()
        rows = await ended(pg, second, "completed", "caller_hangup")
    assert second.replies == [GREETING, NAME, NAME, NAME]
    agent, *legs = rows.participants
    assert agent["participant_type"] == "agent"
    # Of the one that was put out LiveKit tells the others no reason.
    reasons = [leg["disconnect_reason"] for leg in legs]
    assert reasons == ["client_initiated", None, "client_initiated"]
    assert len({leg["participant_sid"] for leg in legs}) == len(legs)
    await nothing_left(pg, worker)
