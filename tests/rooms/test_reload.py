"""`python -m agent dev`: an edit of the persona counts from the next call on."""

import contextlib
import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from local.caller import Caller, CallerError, Server
from local.places import PROJECT
from local.procs import Child
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.personas import copy_agent
from tests.rooms.rows import Reader, said
from tests.waiting import until

pytestmark = pytest.mark.room

GREETING = "Hello! How can I help you today?"
ERROR = "I am sorry, there is a technical problem. Please call again later."


async def test_an_edit_counts_from_the_next_call_on(
    stack: Stack, server: Server, tmp_path: Path, database_url: str, pg: Connection
) -> None:
    """Also one that breaks the file: the caller is told, and the call after the fix works."""
    persona = copy_agent(tmp_path)
    first = persona.read_text()
    log = tmp_path / "dev.log"
    child = _dev(stack, server, tmp_path, database_url, log)
    reader = Reader(pg)
    await child.start()
    try:
        await until(lambda: b"messages rendered ahead" in log.read_bytes(), timeout_s=60)
        await until(lambda: b"registered worker" in log.read_bytes(), timeout_s=60)
        assert await _greeting(server, reader) == (GREETING, "caller_hangup")
        persona.write_text(first.replace(GREETING, "Good evening, this is the bakery."))
        assert await _greeting(server, reader) == (
            "Good evening, this is the bakery.",
            "caller_hangup",
        )
        persona.write_text(first.replace("class Assistant(", "class Assistant(("))
        assert await _greeting(server, reader) == (ERROR, "error")
        persona.write_text(first.replace(GREETING, "Hello again, all is well now."))
        assert await _greeting(server, reader) == ("Hello again, all is well now.", "caller_hangup")
    finally:
        await child.stop()
    told = [line for line in log.read_text().splitlines() if "persona can't be loaded" in line]
    assert len(told) == 1
    assert "SyntaxError" in told[0]
    assert "assistant.py, line" in told[0]


async def _greeting(server: Server, reader: Reader) -> tuple[str, str]:
    """Make a call; return the first thing that the agent said in it, and how it ended."""
    room = f"edit-{uuid4().hex[:8]}"
    async with Caller(server, room=room) as caller:
        await caller.join()
        await caller.agent_speaking()  # if it is only to say that it can't
        with contextlib.suppress(CallerError):  # and then it closes the room
            await caller.agent_quiet()
    rows = await reader.ended(room)
    words = said(rows, "assistant")
    return words[0] if words else "", str(rows.call["end_reason"])


def _dev(stack: Stack, server: Server, directory: Path, database_url: str, log: Path) -> Child:
    inherited = {key: os.environ[key] for key in os.environ if not key.startswith("AGENT_")}
    settings = {
        "DATABASE_URL": database_url,
        "PYTHONPATH": str(PROJECT),
        "AGENT_NAME": server.agent_name,
        "AGENT_TURN_DETECTION": "vad",
        "AGENT_HTTP_PORT": "0",
        "AGENT_REJOIN_GRACE_S": "1",
        "AGENT_SPEECH_CACHE_DIR": str(directory.parent / "speech"),
    }
    return Child(
        "worker",
        [sys.executable, "-m", "agent", "dev"],
        log=log,
        cwd=directory,
        env={**inherited, **stack.env(), **settings},
    )
