"""One worker and one database for all calls of a test process; rooms tell the calls apart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.caller import Server
from local.stack import Stack
from tests.postgres.server import database
from tests.postgres.servers import Servers
from tests.rooms.worker import Worker


@pytest.fixture(scope="session")
def server(stack: Stack) -> Server:
    """The LiveKit server, whose rooms ask for the one worker."""
    return Server(stack.livekit_url, stack.api_key, stack.api_secret, agent_name="one-worker")


@pytest.fixture(scope="session")
async def database_url(postgres_servers: Servers) -> AsyncIterator[str]:
    """URL of one database for all calls; a server's fixture would end with the next version."""
    server_url = postgres_servers.url("newest")
    template = await postgres_servers.template(server_url)
    async with database(server_url, template=template) as url:
        yield url


@pytest.fixture(scope="session")
async def worker(
    stack: Stack, server: Server, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    """The one worker; at the end it stops in order."""
    place: Path = tmp_path_factory.mktemp("one-worker")
    worker = Worker(  # with time to come back
        stack, place, database_url, name=server.agent_name, AGENT_REJOIN_GRACE_S="3"
    )
    await worker.start()
    yield worker
    assert await asyncio.shield(worker.stop()) == 0
