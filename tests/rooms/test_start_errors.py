"""Errors of the developer's own code at a call's start: the caller is told, and let go."""

import shutil
import time
from pathlib import Path
from uuid import uuid4

import pytest

from local.caller import Caller, Server, Voice
from local.places import PROJECT
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.steps import is_closed
from tests.rooms.test_model_faults import ERROR
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = pytest.mark.room

RAISES = "raise LookupError('no such customer')"
TOOL = "\n    @function_tool()\n    async def end_call"
EDITS = {
    "in its constructor": ("super().__init__", f"{RAISES}\n        super().__init__"),
    "when asked for its speech model": (
        TOOL,
        f"\n    @property\n    def tts(self) -> None:\n        {RAISES}\n{TOOL}",
    ),
}


@pytest.mark.parametrize("where", EDITS)
async def test_a_persona_that_raises(  # noqa: PLR0913, PLR0917 - fixtures
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
    where: str,
) -> None:
    """Before the session starts, or while it does."""
    shutil.copytree(PROJECT / "agent", tmp_path / "agent")
    persona = tmp_path / "agent" / "assistant.py"
    code = persona.read_text()
    assert code.count(EDITS[where][0]) == 1
    persona.write_text(code.replace(*EDITS[where]))
    room = f"raises-{uuid4().hex[:8]}"
    worker = Worker(stack, tmp_path, database_url, name=server.agent_name)
    await worker.start()
    try:
        await until(lambda: b"messages rendered ahead" in worker.log.read_bytes())
        async with Caller(server, room=room, voice=voice) as caller:
            began = time.monotonic()
            await caller.join()
            await caller.agent_speaking()
            rows = await Reader(pg).ended(room)
            await until(lambda: is_closed(server, room), what="the room to be closed")
            heard = await caller.heard(began)
    finally:
        await worker.stop()
    assert "technical problem" in heard.lower()
    assert (rows.call["status"], rows.call["end_reason"]) == ("failed", "error")
    assert "LookupError" in rows.call["metadata"]["end"]["error"]
    assert said(rows, "assistant") == [ERROR]
    assert rows.messages[0]["metadata"] == {"kind": "error"}
    assert all(leg["left_at"] is not None for leg in rows.participants)
