"""What the tests of the local stack share: AI servers and the looks of a process tree."""

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import openai
import psutil

from local.ai_server import AIServer


@asynccontextmanager
async def ai_server(
    directory: Path, script: dict[str, Any] | None = None
) -> AsyncIterator[openai.AsyncOpenAI]:
    """Run an AI server in a process of its own and hand out OpenAI's client for it."""
    file = None
    if script is not None:
        file = directory / "script.json"
        file.write_text(json.dumps(script))
    server = AIServer(directory, script=file)
    try:
        await server.start()
        async with openai.AsyncOpenAI(
            base_url=server.url, api_key=server.api_key, max_retries=0
        ) as client:
            yield client
    finally:
        await server.stop()


@contextmanager
def open_directory() -> Iterator[Path]:
    """A temporary directory that user nobody can pass through: Postgres runs as nobody for root."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o711)
        yield directory


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below ``pid``."""
    found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return found


def name_of(process: psutil.Process) -> str:
    """Return the name of a process; of one that has ended meanwhile an empty one."""
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those still running; a zombie is dead and waits for its parent to notice."""
    return [process for process in processes if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
