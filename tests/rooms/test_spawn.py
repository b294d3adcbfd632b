"""Jobs whose processes are spawned, not forked, as on macOS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.caller import Server
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.house import House
from tests.rooms.worker import Worker

pytestmark = pytest.mark.room


@pytest.fixture
async def worker(
    stack: Stack, server: Server, database_url: str, tmp_path: Path
) -> AsyncIterator[Worker]:
    """The real worker, whose jobs are spawned."""
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=server.agent_name,
        command=("-m", "tests.rooms.spawned"),
    )
    await worker.start()
    yield worker
    await worker.stop()


async def test_a_call_is_recorded(server: Server, worker: Worker, pg: Connection) -> None:
    rows = await House(server, worker, pg).call()
    assert [leg["participant_type"] for leg in rows.participants] == ["agent", "user"]
    assert "popen_spawn_posix" not in worker.log.read_text()  # no traceback of its start
