"""Runs the migrations, and the real worker as a separate process."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from local.places import PROJECT
from local.procs import Child
from local.stack import Stack

_REGISTER_S: Final = 60.0
_STOP_S: Final = 45.0
_TICK_S: Final = 0.05
_REGISTERED: Final = b"registered worker"

SETTINGS: Final = {
    "AGENT_NAME": "",
    "AGENT_LLM_MODEL": "smollm2-135m-instruct",
    "AGENT_STT_MODEL": "whisper-tiny.en",
    "AGENT_TTS_MODEL": "piper-joe",
    "AGENT_TURN_DETECTION": "vad",  # the end-of-turn model is not among the local models
    "AGENT_HTTP_PORT": "0",
    "AGENT_REJOIN_GRACE_S": "1",  # the demo's caller does not rejoin
    "AGENT_LOG_FORMAT": "json",
}


async def migrate(stack: Stack, directory: Path) -> None:
    """Apply the migrations to the stack's database, as an operator does.

    Raises:
        StartError: They failed; the message has their output.
    """
    child = _python("migrations", ["db", "migrate"], stack, directory)
    await child.start()
    try:
        if await child.wait() != 0:
            raise child.failure("failed:")
    finally:
        await asyncio.shield(child.stop())


@asynccontextmanager
async def worker(stack: Stack, directory: Path) -> AsyncIterator[Child]:
    """Run the worker for the duration of the block, which starts once it accepts calls.

    Raises:
        StartError: It did not register with LiveKit; the message has the end of its log.
    """
    child = _python("worker", ["agent", "start"], stack, directory)
    child.grace_s = _STOP_S
    await child.start()
    try:
        await _registered(child)
        yield child
    except asyncio.CancelledError:
        child.grace_s = 1.0  # after Ctrl-C, do not wait for the demo's call
        raise
    finally:
        await asyncio.shield(child.stop())


async def stopped(child: Child) -> None:
    """Stop the worker and wait until it has shipped everything and exited.

    Raises:
        StartError: It exited with an error, or not in time.
    """
    await child.stop()
    code = await child.wait()
    if code != 0:
        raise child.failure(f"ended with exit code {code} after SIGTERM; the end of its log:")


def _python(name: str, module: list[str], stack: Stack, directory: Path) -> Child:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AGENT_")}
    # The directory is removed with the files of a worker that was killed.
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    own = {
        "AGENT_OUTBOX_DIR": str(directory / "outbox"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(PROJECT),
    }
    return Child(
        name,
        [sys.executable, "-m", *module],
        log=directory / f"{name}.log",
        env={**inherited, **stack.env(), **SETTINGS, **own},
        cwd=directory,  # not the project's directory, whose .env is for the project's own worker
    )


async def _registered(child: Child) -> None:
    deadline = time.monotonic() + _REGISTER_S
    while _REGISTERED not in await asyncio.to_thread(child.log.read_bytes):
        if not child.running:
            raise child.failure("exited while starting; the end of its log:")
        if time.monotonic() > deadline:
            raise child.failure(f"not registered after {_REGISTER_S:.0f} s; the end of its log:")
        await asyncio.sleep(_TICK_S)
