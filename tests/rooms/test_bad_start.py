"""Starts that cannot do: one clear line and exit code 2; a server that is away is waited for."""

import asyncio
from itertools import product
from pathlib import Path
from urllib.parse import quote, urlsplit
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader
from tests.rooms.worker import Worker
from tests.unit.agent.processes import agent

pytestmark = pytest.mark.room


async def test_a_key_that_livekit_does_not_know(
    stack: Stack, database_url: str, tmp_path: Path
) -> None:
    """Not sixteen attempts: LiveKit's own worker says no more than 401 to each."""
    env = stack.env() | {"DATABASE_URL": database_url}
    wrong = (("LIVEKIT_API_KEY", "stranger"), ("LIVEKIT_API_SECRET", "x" * 40))
    starts = [
        agent(command, cwd=tmp_path, **env | {name: value})
        for command, (name, value) in product(("start", "dev"), wrong)
    ]
    for ended in await asyncio.gather(*starts):
        assert (ended.code, ended.out) == (2, "")
        told = "LIVEKIT_API_KEY or LIVEKIT_API_SECRET is refused by LIVEKIT_URL="
        assert ended.err == f"agent: {told}{stack.livekit_url}\n"


async def test_a_database_that_refuses(stack: Stack, database_url: str, tmp_path: Path) -> None:
    """Wrong password, no such login, or one without the worker's rights."""
    url = urlsplit(database_url)
    login = f"stranger_{uuid4().hex[:8]}"

    async def refused(user: str, word: str) -> None:
        netloc = f"{user}:{quote(word)}@{url.hostname}:{url.port}"
        ended = await agent(
            "start",
            cwd=tmp_path,
            **stack.env() | {"DATABASE_URL": url._replace(netloc=netloc).geturl()},
        )
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
        assert f'DATABASE_URL: password authentication failed for user "{user}"' in (ended.err)

    await asyncio.gather(refused("postgres", "wrong"), refused(login, "x"))


async def test_a_login_without_rights(
    stack: Stack, database_url: str, pg: Connection, tmp_path: Path
) -> None:
    url = urlsplit(database_url)
    login = f"stranger_{uuid4().hex[:8]}"
    await pg.execute(f"create role {login} login password 'x'")
    try:
        netloc = f"{login}:x@{url.hostname}:{url.port}"
        ended = await agent(
            "start",
            cwd=tmp_path,
            **stack.env() | {"DATABASE_URL": url._replace(netloc=netloc).geturl()},
        )
    finally:
        await pg.execute(f"drop role {login}")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert "select voice_worker.enlist('<login>')" in ended.err


async def test_no_database(stack: Stack, empty_database_url: str, tmp_path: Path) -> None:
    """None is named, or one without our schema."""

    async def refused(url: str, told: str) -> None:
        ended = await agent("start", cwd=tmp_path, **stack.env() | {"DATABASE_URL": url})
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
        assert told in ended.err

    await asyncio.gather(
        refused("", "DATABASE_URL is not set"), refused(empty_database_url, "-m db migrate")
    )


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
        await caller.agent_speaking(timeout_s=40)
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
