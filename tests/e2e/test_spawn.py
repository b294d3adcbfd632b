"""Jobs whose processes are spawned, not forked, as on macOS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.caller import Server
from local.stack import Stack
from tests.e2e.house import House
from tests.e2e.worker import Worker
from tests.postgres import Connection

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
        command=("-m", "tests.e2e.spawned"),
    )
    await worker.start()
    yield worker
    await worker.stop()


async def test_a_call_is_recorded(server: Server, worker: Worker, pg: Connection) -> None:
    rows = await House(server, worker, pg).call()
    assert [leg["participant_type"] for leg in rows.participants] == ["agent", "user"]
    assert "popen_spawn_posix" not in worker.log.read_text()  # no traceback of its start
