"""Runs the local stack: its parts start concurrently and stop together."""

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
    """The addresses of a running stack; those of an omitted part are empty strings."""

    livekit_url: str = ""
    api_key: str = ""
    api_secret: str = ""
    openai_base_url: str = ""
    openai_api_key: str = ""
    database_url: str = ""

    def env(self) -> dict[str, str]:
        """Return the environment variables a worker needs, without those of omitted parts."""
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
    """A server of the stack; every method is safe to repeat."""

    @property
    def child(self) -> Child:
        """Its process."""

    async def start(self) -> None:
        """Start it and wait until it serves."""

    async def stop(self) -> None:
        """Stop it; harmless if it is not running."""


@dataclass
class Parts:
    """The servers of a running stack; None for an omitted one."""

    livekit: LiveKitServer | None = None
    ai: AIServer | None = None
    postgres: LocalPostgres | None = None
    database_url: str = ""

    @property
    def stack(self) -> Stack:
        """Their addresses."""
        return Stack(
            livekit_url=self.livekit.url if self.livekit else "",
            api_key=self.livekit.api_key if self.livekit else "",
            api_secret=self.livekit.api_secret if self.livekit else "",
            openai_base_url=self.ai.url if self.ai else "",
            openai_api_key=self.ai.api_key if self.ai else "",
            database_url=self.postgres.url if self.postgres else self.database_url,
        )

    def all(self) -> dict[str, Part]:
        """Return the parts by name."""
        parts = {"livekit-server": self.livekit, "models": self.ai, "postgres": self.postgres}
        return {name: part for name, part in parts.items() if part is not None}

    async def failed(self) -> StartError:
        """Wait until any part exits; return an error that says which and why."""
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


class _Progress:
    """Forwards progress lines and knows the time of the last one."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._last = time.monotonic()

    def __call__(self, line: str) -> None:
        self._last = time.monotonic()
        self._report(line)

    @property
    def silence_s(self) -> float:
        return time.monotonic() - self._last


class Options(TypedDict, total=False):
    """What to run.

    Attributes:
        ai: Start the models; the default.
        postgres: Start a Postgres, unless DATABASE_URL names one; the default.
        livekit: Start a LiveKit server; the default.
        script: A JSON file with the answers of the language model; see ``local.ai.script``.
        progress: Called with lines for people while the parts start; the default prints them.
        on_failure: Called with the stack's directory before an error removes it.
    """

    ai: bool
    postgres: bool
    livekit: bool
    script: Path | None
    progress: Callable[[str], None]
    on_failure: Callable[[Path], None]


@asynccontextmanager
async def running(**options: Unpack[Options]) -> AsyncIterator[Stack]:
    """Run the local stack for the duration of the block.

    Raises:
        SettingsError: Something is missing that the user can fix.
        StartError: A part did not start.
    """
    async with running_parts(**options) as parts:
        yield parts.stack


@asynccontextmanager
async def running_parts(**options: Unpack[Options]) -> AsyncIterator[Parts]:
    """Run the stack like ``running``, but yield the servers, to stop or kill single ones."""
    script = options.get("script")
    if script is not None:
        load_script(script)  # report an invalid one here, not in a child's log
    progress = _Progress(options.get("progress", to_stderr))
    with run_directory(options.get("on_failure")) as directory:
        parts = Parts()
        if options.get("livekit", True):
            parts.livekit = LiveKitServer(directory / "livekit", progress=progress)
        if options.get("ai", True):
            parts.ai = AIServer(directory / "ai", script=script)
        if options.get("postgres", True):
            parts.database_url = os.environ.get("DATABASE_URL", "")
            if parts.database_url:
                progress("postgres: using DATABASE_URL")
            else:
                parts.postgres = LocalPostgres(directory / "postgres")
        try:
            await _start(parts.all(), progress)
            yield parts
        finally:
            await _stop(parts.all())


async def _start(parts: dict[str, Part], progress: _Progress) -> None:
    started_at = time.monotonic()

    async def start(name: str, part: Part) -> None:
        await part.start()
        progress(f"{name}: ready after {time.monotonic() - started_at:.1f} s")

    starts = {
        name: asyncio.create_task(start(name, part), name=f"start {name}")
        for name, part in parts.items()
    }
    try:
        await _wait_for_all(starts, started_at, progress)
    finally:
        for task in starts.values():
            task.cancel()
        await asyncio.gather(*starts.values(), return_exceptions=True)


async def _wait_for_all(
    starts: dict[str, asyncio.Task[None]], started_at: float, progress: _Progress
) -> None:
    """Wait for all parts, and report regularly which are pending; raise the first failure."""
    pending = set(starts.values())
    while pending:
        done, pending = await asyncio.wait(
            pending, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
        if progress.silence_s >= _TICK_S:
            names = ", ".join(name for name, task in starts.items() if not task.done())
            progress(f"waiting for {names}, {time.monotonic() - started_at:.0f} s")


async def _stop(parts: dict[str, Part]) -> None:
    """Stop all parts; a cancel (a second Ctrl-C) takes effect only afterwards."""
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
