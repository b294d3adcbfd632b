"""Starts that cannot do: one clear line and exit code 2; a server that is away is waited for."""

from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader
from tests.rooms.worker import Worker
from tests.unit.agent.processes import agent_here

pytestmark = pytest.mark.room


Refused = Callable[..., Awaitable[str]]


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, stack: Stack
) -> Refused:
    """Start with these settings: it ends with code 2, and one line, returned."""

    async def start(command: str = "start", **settings: str) -> str:
        env = stack.env() | settings
        code = await agent_here(monkeypatch, command, cwd=tmp_path, **env)
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), (code, out, err)
        return err

    return start


async def test_a_key_that_livekit_does_not_know(
    stack: Stack, database_url: str, refused: Refused
) -> None:
    """Not sixteen attempts: LiveKit's own worker says no more than 401 to each."""
    wrong = (("LIVEKIT_API_KEY", "stranger"), ("LIVEKIT_API_SECRET", "x" * 40))
    told = "LIVEKIT_API_KEY or LIVEKIT_API_SECRET is refused by LIVEKIT_URL="
    for command, (name, value) in product(("start", "dev"), wrong):
        settings = {"DATABASE_URL": database_url, "AGENT_HTTP_PORT": "0", name: value}
        assert await refused(command, **settings) == f"agent: {told}{stack.livekit_url}\n"


async def test_a_database_that_refuses(database_url: str, refused: Refused) -> None:
    """Wrong password, no such login, or one without the worker's rights."""
    url = urlsplit(database_url)
    for user in ("postgres", f"stranger_{uuid4().hex[:8]}"):
        netloc = f"{user}:wrong@{url.hostname}:{url.port}"
        error = await _refused_by_database(refused, url._replace(netloc=netloc).geturl())
        assert f'DATABASE_URL: password authentication failed for user "{user}"' in error


async def test_a_login_without_rights(database_url: str, pg: Connection, refused: Refused) -> None:
    url = urlsplit(database_url)
    login = f"stranger_{uuid4().hex[:8]}"
    await pg.execute(f"create role {login} login password 'x'")
    try:
        netloc = f"{login}:x@{url.hostname}:{url.port}"
        error = await _refused_by_database(refused, url._replace(netloc=netloc).geturl())
    finally:
        await pg.execute(f"drop role {login}")
    assert "select voice_worker.enlist('<login>')" in error


async def test_no_database(empty_database_url: str, refused: Refused) -> None:
    """None is named, or one without our schema."""
    for url, told in (("", "DATABASE_URL is not set"), (empty_database_url, "-m db migrate")):
        assert told in await _refused_by_database(refused, url)


async def _refused_by_database(refused: Refused, url: str) -> str:
    return await refused(DATABASE_URL=url, AGENT_HTTP_PORT="0")


async def test_a_database_that_is_away_costs_no_call(
    stack: Stack, server: Server, database_url: str, pg: Connection, tmp_path: Path
) -> None:
    """The call is taken and talked through; the next worker brings it to Postgres."""
    room = f"away-{uuid4().hex[:8]}"
    away = urlsplit(database_url)._replace(netloc="voice:x@127.0.0.1:1").geturl()
    settings = {"AGENT_SHIP_TIMEOUT_S": "0.5", "AGENT_REJOIN_GRACE_S": "1"}
    worker = Worker(stack, tmp_path, away, name=server.agent_name, **settings)
    await worker.start()
    async with Caller(server, room=room) as caller:
        await caller.join()
        await caller.agent_speaking(timeout_s=60)
        await caller.agent_quiet()
    assert await worker.stop() == 0
    assert "database away" in worker.log.read_text()
    assert len(worker.outbox_files()) == 1
    worker = Worker(stack, tmp_path, database_url, name=server.agent_name)
    await worker.start()
    rows = await Reader(pg).ended(room)
    assert await worker.stop() == 0
    assert rows.call["end_reason"] == "caller_hangup"
    assert [message["role"] for message in rows.messages] == ["assistant"]
    assert "Traceback" not in worker.log.read_text()
