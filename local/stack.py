"""The local stack put together: the parts start side by side and stop together."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

from local.ai.script import load as load_script
from local.ai_server import AIServer
from local.errors import StartError
from local.livekit_server import LiveKitServer
from local.places import run_directory
from local.postgres import LocalPostgres
from local.procs import Child

_TICK_S = 5.0


@dataclass(frozen=True)
class Stack:
    """Where the parts of a running stack are; a part left out has empty strings."""

    livekit_url: str = ""
    api_key: str = ""
    api_secret: str = ""
    openai_base_url: str = ""
    openai_api_key: str = ""
    database_url: str = ""

    def env(self) -> dict[str, str]:
        """The environment variables a worker needs, without those of parts left out."""
        variables = {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.api_key,
            "LIVEKIT_API_SECRET": self.api_secret,
            "OPENAI_BASE_URL": self.openai_base_url,
            "OPENAI_API_KEY": self.openai_api_key,
            "DATABASE_URL": self.database_url,
        }
        return {name: value for name, value in variables.items() if value}


class Part(Protocol):
    """A server of the stack; every method can be called again."""

    @property
    def child(self) -> Child:
        """Its process."""

    async def start(self) -> None:
        """Start it and wait until it serves."""

    async def stop(self) -> None:
        """Stop it; harmless if it is not running."""


@dataclass
class Parts:
    """The servers of a running stack, None for those left out."""

    livekit: LiveKitServer | None = None
    ai: AIServer | None = None
    postgres: LocalPostgres | None = None
    database_url: str = ""

    @property
    def stack(self) -> Stack:
        """Where they are."""
        return Stack(
            livekit_url=self.livekit.url if self.livekit else "",
            api_key=self.livekit.api_key if self.livekit else "",
            api_secret=self.livekit.api_secret if self.livekit else "",
            openai_base_url=self.ai.url if self.ai else "",
            openai_api_key=self.ai.api_key if self.ai else "",
            database_url=self.postgres.url if self.postgres else self.database_url,
        )

    def all(self) -> dict[str, Part]:
        """The parts by name."""
        parts = {"livekit-server": self.livekit, "models": self.ai, "postgres": self.postgres}
        return {name: part for name, part in parts.items() if part is not None}

    async def failed(self) -> StartError:
        """Wait until any part exits by itself; return an error that tells which and why."""
        children = [part.child for part in self.all().values()]
        waits = {asyncio.ensure_future(child.wait()): child for child in children}
        if not waits:
            await asyncio.get_running_loop().create_future()
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        first = done.pop()
        return waits[first].failure(f"exited with code {first.result()}; the end of its log:")


def to_stderr(line: str) -> None:
    """Print a progress line."""
    print(line, file=sys.stderr, flush=True)


class _Told:
    """Passes progress lines on and knows when the last one came."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last = time.monotonic()

    def __call__(self, line: str) -> None:
        self._last = time.monotonic()
        self._tell(line)

    @property
    def silence_s(self) -> float:
        return time.monotonic() - self._last


class Options(TypedDict, total=False):
    """What to run.

    Attributes:
        ai: Start the models; the default.
        postgres: Start a Postgres, unless DATABASE_URL names one; the default.
        livekit: Start a LiveKit server; the default.
        script: A JSON file that answers in place of the language model; see ``local.ai.script``.
        progress: Called with lines for people while the parts start; the default prints them.
        on_failure: Called with the stack's directory before it is removed because of an error.
    """

    ai: bool
    postgres: bool
    livekit: bool
    script: Path | None
    progress: Callable[[str], None]
    on_failure: Callable[[Path], None]


@asynccontextmanager
async def running(**options: Unpack[Options]) -> AsyncIterator[Stack]:
    """Run the local stack for the length of the block.

    Raises:
        SettingsError: Something is missing that the user can put right.
        StartError: A part did not start.
    """
    async with running_parts(**options) as parts:
        yield parts.stack


@asynccontextmanager
async def running_parts(**options: Unpack[Options]) -> AsyncIterator[Parts]:
    """Like ``running``, but hands out the servers themselves, to stop or kill one at a time."""
    script = options.get("script")
    if script is not None:
        load_script(script)  # a wrong one is told at once, not from a child's log
    told = _Told(options.get("progress", to_stderr))
    with run_directory(options.get("on_failure")) as directory:
        parts = Parts()
        if options.get("livekit", True):
            parts.livekit = LiveKitServer(directory / "livekit", progress=told)
        if options.get("ai", True):
            parts.ai = AIServer(directory / "ai", script=script)
        if options.get("postgres", True):
            parts.database_url = os.environ.get("DATABASE_URL", "")
            if parts.database_url:
                told("postgres: using the one DATABASE_URL names")
            else:
                parts.postgres = LocalPostgres(directory / "postgres")
        try:
            await _start(parts.all(), told)
            yield parts
        finally:
            await _stop(parts.all())


async def _start(parts: dict[str, Part], told: _Told) -> None:
    begin = time.monotonic()

    async def start(name: str, part: Part) -> None:
        await part.start()
        told(f"{name}: ready after {time.monotonic() - begin:.1f} s")

    starts = {
        name: asyncio.create_task(start(name, part), name=f"start {name}")
        for name, part in parts.items()
    }
    try:
        await _watch(starts, begin, told)
    finally:
        for task in starts.values():
            task.cancel()
        await asyncio.gather(*starts.values(), return_exceptions=True)


async def _watch(starts: dict[str, asyncio.Task[None]], begin: float, told: _Told) -> None:
    """Wait for all, breaking a long silence with who is waited for; raise the first failure."""
    pending = set(starts.values())
    while pending:
        done, pending = await asyncio.wait(
            pending, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
        if told.silence_s >= _TICK_S:
            names = ", ".join(name for name, task in starts.items() if not task.done())
            told(f"waiting for {names}, {time.monotonic() - begin:.0f} s")


async def _stop(parts: dict[str, Part]) -> None:
    """Stop all; being cancelled (a second Ctrl-C) is put off until that is done."""
    stops = asyncio.gather(*(part.stop() for part in parts.values()), return_exceptions=True)
    cancelled: asyncio.CancelledError | None = None
    while not stops.done():
        try:
            await asyncio.shield(stops)
        except asyncio.CancelledError as error:
            cancelled = error
    for result in stops.result():
        if isinstance(result, BaseException):
            raise result
    if cancelled is not None:
        raise cancelled
