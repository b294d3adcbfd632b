"""A LiveKit server of our own, bound to the loopback address alone."""

import json
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.errors import SettingsError
from local.livekit_binary import find_or_build
from local.ports import HOST, free_port
from local.procs import Child
from local.waiting import answers_http, until_ready

_READY_LIMIT_S = 20


class LiveKitServer:
    """One LiveKit server with keys of its own and its files in ``directory``.

    The keys and ports stay the same over ``stop`` or ``kill`` and a new ``start``.
    """

    def __init__(
        self, directory: Path, *, progress: Callable[[str], None] = lambda _line: None
    ) -> None:
        self.directory = directory
        self.api_key = f"API{secrets.token_hex(6)}"
        self.api_secret = secrets.token_hex(32)
        self.port = free_port()
        self._progress = progress
        self._server: Child | None = None

    @property
    def url(self) -> str:
        """The WebSocket URL that clients and workers connect to."""
        return f"ws://{HOST}:{self.port}"

    @property
    def child(self) -> Child:
        """The server's process.

        Raises:
            SettingsError: It was never started.
        """
        if self._server is None:
            raise SettingsError("the LiveKit server was not started")
        return self._server

    async def start(self) -> None:
        """Start the server and wait until it answers; the first time it may have to be built.

        Raises:
            SettingsError: There is no server and no Go to build one with.
            StartError: It cannot be built or does not get ready.
        """
        if self._server is None:
            self._server = self._prepare(await find_or_build(self._progress))
        await self._server.start()
        await until_ready(self._server, lambda: answers_http(self.port, "/"), _READY_LIMIT_S)

    async def stop(self) -> None:
        """Stop the server at once, ending its rooms; harmless if it is not running."""
        if self._server is not None:
            await self._server.stop()

    async def restart(self) -> None:
        """Stop and start on the same ports and keys; rooms do not survive."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """Kill the server, as a crash would."""
        if self._server is not None:
            await self._server.kill()

    def _prepare(self, binary: Path) -> Child:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "livekit.yaml"
        config.touch(mode=0o600)
        config.write_text(json.dumps(self._config()))  # JSON is YAML
        return Child(
            name="livekit-server",
            command=[str(binary), "--config", str(config)],
            log=self.directory / "livekit.log",
            cwd=self.directory,
            grace_s=1.0,  # it would wait for its rooms to empty
        )

    def _config(self) -> dict[str, Any]:
        udp_port = free_port(socket.SOCK_DGRAM)
        return {
            "port": self.port,
            "bind_addresses": [HOST],
            "keys": {self.api_key: self.api_secret},
            "logging": {"level": "info", "json": False},
            "rtc": {
                "tcp_port": 0,  # none: it would listen on every interface
                "udp_port": udp_port,
                "use_external_ip": False,
                "node_ip": HOST,
                # Candidates of the loopback alone; with an interface more, each stack would
                # bind its UDP port there too.
                "enable_loopback_candidate": True,
                "ips": {"includes": [f"{HOST}/32"]},
                # Without one, clients are told of public STUN servers. Nobody listens there
                # (RFC 863); with the server's own UDP port here, no client ever connects.
                "stun_servers": [f"{HOST}:9"],
            },
        }
