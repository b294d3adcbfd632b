"""Jobs whose own code does harm: it raises at the end, or keeps the event loop to itself."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.stack import Stack
from tests.faults.rooms.ledger import NAME, Ledger, ended, nothing_left
from tests.postgres.server import Connection
from tests.rooms.personas import copy_agent
from tests.rooms.worker import Worker
from tests.waiting import until

pytestmark = [pytest.mark.room, pytest.mark.slow_fault]

HARM = '''
    async def on_user_turn_completed(self, turn_ctx: object, new_message: object) -> None:
        """Do harm, by the room's name."""
        import time
        from livekit.agents import get_job_context

        async def fails() -> None:
            raise RuntimeError("at the end")

        job = get_job_context()
        if job.room.name.startswith("raises"):
            job.add_shutdown_callback(fails)
        elif "story" in new_message.text_content:
            time.sleep(100)
'''


async def test_11_12_a_shutdown_callback_raises_and_the_event_loop_is_blocked(  # noqa: PLR0913, PLR0917
    stack: Stack,
    server: Server,
    voice: Voice,
    tmp_path: Path,
    database_url: str,
    pg: Connection,
) -> None:
    """The one changes nothing; the other job is killed by LiveKit, and nothing is lost of it."""
    copy_agent(tmp_path, HARM)
    worker = Worker(
        stack, tmp_path, database_url, name=server.agent_name, AGENT_REJOIN_GRACE_S="0.5"
    )
    await worker.start()

    async def call(kind: str, *, blocks: bool) -> Ledger:
        async with Caller(server, room=f"{kind}-{uuid4().hex[:8]}", voice=voice) as caller:
            ledger = Ledger(caller)
            await ledger.greeted()
            await ledger.ask()
            if blocks:
                ledger.turns.append("Tell me a story, please.")
                await caller.speak(ledger.turns[-1])
                blocked.set()
                await killed.wait()
            return ledger

    blocked, killed = asyncio.Event(), asyncio.Event()
    blocking = asyncio.create_task(call("blocks", blocks=True))
    try:
        raised = await call("raises", blocks=False)
        await ended(pg, raised, "completed", "caller_hangup")
        await blocked.wait()
        waiting = "select count(*) from voice_calls where end_reason = 'worker_crashed'"
        await until(lambda: pg.fetchval(waiting), timeout_s=120, what="the job to be killed")
    finally:
        killed.set()
        ledger = await blocking
    await ended(pg, ledger, "failed", "worker_crashed")
    assert ledger.replies[-1] == NAME
    await nothing_left(pg, worker)
    assert "at the end" in worker.log.read_text()
    assert await worker.stop() == 0
