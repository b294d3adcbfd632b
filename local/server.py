"""The base of the local servers: each is one child process, with a common start, stop and kill."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from local.errors import SettingsError
from local.procs import Child
from local.waiting import until_ready


class LocalServer(ABC):
    """A server of the stack as a child process, with its files in ``directory``.

    Port, keys and data survive ``stop`` or ``kill`` and another ``start``.
    """

    title: ClassVar[str]
    """Its name in messages."""
    ready_limit_s: ClassVar[float]
    """Seconds until it must serve, once its process runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._server: Child | None = None

    @property
    def child(self) -> Child:
        """The server's process.

        Raises:
            SettingsError: It was never started.
        """
        if self._server is None:
            raise SettingsError(f"{self.title} was not started")
        return self._server

    async def start(self) -> None:
        """Start the server and wait until it serves; prepare it first if it is new.

        Raises:
            SettingsError: A program that it needs is not installed.
            StartError: The preparation failed, or the server does not become ready.
        """
        if self._server is None:
            self._server = await self._prepare()
        await self._server.start()
        await until_ready(self._server, self._serves, self.ready_limit_s)

    async def stop(self) -> None:
        """Stop the server; harmless if it is not running."""
        if self._server is not None:
            await self._server.stop()

    async def restart(self) -> None:
        """Stop and start again."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """Kill every process of the server at once, as a crash would."""
        if self._server is not None:
            await self._server.kill()

    @abstractmethod
    async def _prepare(self) -> Child:
        """Prepare what the server needs, and return the process to start."""

    @abstractmethod
    async def _serves(self) -> bool:
        """Return whether the server answers."""
