"""A real LiveKit server, real speech, a language model from a script, and workers as processes.

A plugin, not a conftest: tests in several directories share one stack in their process.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.stack import Stack, running
from tests.rooms.worker import Worker

SCRIPT = Path(__file__).with_name("script.json")
PATIENCE_S = 60.0
"""For a caller's waits: a deadline, which tells a busy machine from an agent that is silent."""


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    """LiveKit and models for all tests in real rooms; each test brings its own database."""
    with pytest.MonkeyPatch.context() as patch:
        for wait in (Caller.agent_joined, Caller.agent_speech, Caller.agent_speaking):
            assert wait.__kwdefaults__ is not None
            patch.setitem(wait.__kwdefaults__, "timeout_s", PATIENCE_S)
        async with running(postgres=False, script=SCRIPT) as stack:
            yield stack


@pytest.fixture
async def voice(stack: Stack) -> AsyncIterator[Voice]:
    """The callers' voice and ear."""
    async with Voice(base_url=stack.openai_base_url, api_key=stack.openai_api_key) as voice:
        yield voice


@pytest.fixture
def server(stack: Stack, request: pytest.FixtureRequest) -> Server:
    """The LiveKit server, whose rooms ask for this test's own worker by name."""
    name = request.function.__name__
    return Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=name)


@pytest.fixture
async def worker(
    stack: Stack, server: Server, database_url: str, tmp_path: Path
) -> AsyncIterator[Worker]:
    """The real worker, registered; with a short grace so that tests end soon."""
    worker = Worker(stack, tmp_path, database_url, name=server.agent_name)
    await worker.start()
    yield worker
    await asyncio.shield(worker.stop())
