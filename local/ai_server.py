"""The local models as a child process; the server itself is the package ``local.ai``."""

import os
import sys
from pathlib import Path

from local.errors import SettingsError
from local.places import PROJECT
from local.ports import HOST, free_port
from local.procs import Child
from local.waiting import answers_http, until_ready

_READY_LIMIT_S = 120


class AIServer:
    """One server of the local models, or of a script in place of the language model."""

    api_key = "local"
    """Clients insist on a key; the server does not look at it."""

    def __init__(self, directory: Path, *, script: Path | None = None) -> None:
        self.directory = directory
        self.script = script
        self.port = free_port()
        self._server: Child | None = None

    @property
    def url(self) -> str:
        """The base URL, as OPENAI_BASE_URL wants it."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def child(self) -> Child:
        """The server's process.

        Raises:
            SettingsError: It was never started.
        """
        if self._server is None:
            raise SettingsError("the AI server was not started")
        return self._server

    async def start(self) -> None:
        """Start the server and wait until its models are loaded and warm.

        Raises:
            StartError: It does not get ready.
        """
        if self._server is None:
            self._server = self._prepare()
        await self._server.start()
        await until_ready(self._server, lambda: answers_http(self.port, "/health"), _READY_LIMIT_S)

    async def stop(self) -> None:
        """Stop the server; harmless if it is not running."""
        if self._server is not None:
            await self._server.stop()

    async def restart(self) -> None:
        """Stop and start on the same port."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """Kill the server, as a crash would."""
        if self._server is not None:
            await self._server.kill()

    def _prepare(self) -> Child:
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "local.ai", "--port", str(self.port)]
        if self.script is not None:
            command += ["--script", str(self.script.resolve())]
        return Child(
            name="AI server",
            command=command,
            log=self.directory / "ai.log",
            # No model is ever fetched: each is in a wheel.
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            cwd=PROJECT,
        )
