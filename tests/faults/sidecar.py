"""The worker's side as a process of its own: `python -m db ship`."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local.places import PROJECT
from local.procs import Child


@asynccontextmanager
async def sidecar(
    outbox: Path, url: str, *, ship_timeout_s: float = 10, log: Path | None = None
) -> AsyncIterator[Child]:
    """Run it on an outbox; it is killed at the end. Its log is `<outbox>.log`, or `<log>.log`."""
    env = {key: os.environ[key] for key in os.environ if not key.startswith("AGENT_")}
    env |= {
        "PYTHONPATH": str(PROJECT),
        "DATABASE_URL": url,
        "AGENT_OUTBOX_DIR": str(outbox),
        "AGENT_SHIP_TIMEOUT_S": str(ship_timeout_s),
    }
    command = [sys.executable, "-m", "db", "ship"]
    place = (log or outbox).with_name(f"{(log or outbox).name}.log")
    child = Child("sidecar", command, log=place, cwd=outbox.parent, env=env)
    await child.start()
    try:
        yield child
    finally:
        await child.kill()


def log_of(outbox: Path) -> str:
    """Return what it has logged."""
    log = outbox.with_name(f"{outbox.name}.log")
    return log.read_text() if log.exists() else ""
