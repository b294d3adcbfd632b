"""Outboxes and real sessions without a room."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit.agents import Agent, AgentSession

from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM

Talk = Callable[..., Awaitable[AgentSession[None]]]


@pytest.fixture
def outbox(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Outbox]:
    """A call's outbox with a recorder on it; its parameter is the drain, in seconds."""
    outbox = Outbox(tmp_path, drain_s=getattr(request, "param", 1.0))
    yield outbox
    outbox.writer.close()


@pytest.fixture
async def talk(outbox: Outbox) -> AsyncIterator[Talk]:
    """Start a session on text alone, recorded, whose language model gives these replies."""
    async with AsyncExitStack() as stack:

        async def start(*replies: Reply, agent: Agent | None = None) -> AgentSession[None]:
            session = AgentSession[None](llm=ScriptedLLM(replies))
            stack.push_async_callback(session.aclose)
            outbox.recorder.attach_session(session)
            await session.start(agent or Agent(instructions="Be brief."))
            return session

        yield start
    outbox.check_ledger()
