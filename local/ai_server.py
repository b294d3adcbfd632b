"""The local models as a child process; the server itself is the package ``local.ai``."""

import os
import sys
from pathlib import Path

from local.places import PROJECT
from local.ports import HOST, free_port
from local.procs import Child
from local.server import LocalServer
from local.waiting import answers_http


class AIServer(LocalServer):
    """One server of the local models; a script can replace the language model."""

    title = "the AI server"
    ready_limit_s = 120  # it loads and warms up its models
    api_key = "local"
    """Clients require a key; the server ignores it."""

    def __init__(self, directory: Path, *, script: Path | None = None) -> None:
        super().__init__(directory)
        self.script = script
        self.port = free_port()

    @property
    def url(self) -> str:
        """The base URL, for OPENAI_BASE_URL."""
        return f"http://{HOST}:{self.port}/v1"

    async def _prepare(self) -> Child:
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "local.ai", "--port", str(self.port)]
        if self.script is not None:
            command += ["--script", str(self.script.resolve())]
        return Child(
            name="AI server",
            command=command,
            log=self.directory / "ai.log",
            # No model is downloaded: each is in a wheel.
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            cwd=PROJECT,
        )

    async def _serves(self) -> bool:
        return await answers_http(self.port, "/health")
