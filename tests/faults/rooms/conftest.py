"""One worker and one database for the tests of a file; a worker that was killed starts again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.caller import Server
from local.stack import Stack
from tests.postgres.server import database
from tests.rooms.worker import Worker


@pytest.fixture(scope="module")
def server(stack: Stack, request: pytest.FixtureRequest) -> Server:
    """The LiveKit server, whose rooms ask for the worker of this file's tests."""
    name = request.module.__name__.rpartition(".")[2]
    return Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name=name)


@pytest.fixture(scope="module")
async def database_url(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of one database for the calls of a file."""
    async with database(postgres_server, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
async def files_worker(
    stack: Stack, server: Server, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    """The file's worker, not started."""
    place: Path = tmp_path_factory.mktemp(server.agent_name)
    worker = Worker(stack, place, database_url, name=server.agent_name, AGENT_REJOIN_GRACE_S="0.5")
    yield worker
    await worker.stop()


@pytest.fixture
async def worker(files_worker: Worker) -> Worker:
    """The file's worker, which runs."""
    if not files_worker.running:
        await files_worker.start()
    return files_worker
