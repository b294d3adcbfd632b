"""Workers of a benchmark: processes of their own, ready for calls when the block begins."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from local.places import PROJECT
from local.procs import Child
from local.stack import Stack

REGISTER_S = 60.0
SETTINGS = {
    "AGENT_TURN_DETECTION": "vad",  # the end-of-turn model is not among the local models
    "AGENT_HTTP_PORT": "0",
    "AGENT_LOG_FORMAT": "json",
    "AGENT_REJOIN_GRACE_S": "0.5",
}


@asynccontextmanager
async def worker(
    module: str, stack: Stack, directory: Path, env: Mapping[str, str]
) -> AsyncIterator[Child]:
    """Run `python -m <module> start` for the length of the block.

    Raises:
        StartError: It did not register with LiveKit; shows the end of its log.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AGENT_")}
    outbox = {"AGENT_OUTBOX_DIR": str(directory / "outbox"), "PYTHONPATH": str(PROJECT)}
    child = Child(
        module,
        [sys.executable, "-m", module, "start"],
        log=directory / f"{module}.log",
        env={**inherited, **stack.env(), **SETTINGS, **outbox, **env},
        cwd=directory,
        grace_s=45.0,
    )
    await child.start()
    try:
        await _registered(child)
        yield child
    finally:
        await asyncio.shield(child.stop())


async def _registered(child: Child) -> None:
    deadline = time.monotonic() + REGISTER_S
    while b"registered worker" not in await asyncio.to_thread(child.log.read_bytes):
        if not child.running:
            raise child.failure("exited while starting; the end of its log:")
        if time.monotonic() > deadline:
            raise child.failure(f"not registered after {REGISTER_S:.0f} s; the end of its log:")
        await asyncio.sleep(0.05)
