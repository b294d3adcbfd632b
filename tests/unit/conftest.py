"""One server of scripted models for all tests of a process."""

from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from tests.unit.local.servers import ai_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scripted(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """The local models, scripted; whoever uses them puts a script of its own in force."""
    directory = tmp_path_factory.mktemp("scripted")
    async with ai_server(directory, {"tts": "tone", "stt": []}) as client:
        yield client
