"""A LiveKit server of our own, bound to the loopback address alone."""

import json
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.livekit_binary import find_or_build
from local.ports import HOST, free_port
from local.procs import Child
from local.server import LocalServer
from local.waiting import answers_http


class LiveKitServer(LocalServer):
    """One LiveKit server with keys of its own and its files in ``directory``.

    It stops at once, ending its rooms; they do not survive a restart either.
    """

    title = "the LiveKit server"
    ready_limit_s = 20

    def __init__(
        self, directory: Path, *, progress: Callable[[str], None] = lambda _line: None
    ) -> None:
        super().__init__(directory)
        self.api_key = f"API{secrets.token_hex(6)}"
        self.api_secret = secrets.token_hex(32)
        self.port = free_port()
        self._progress = progress

    @property
    def url(self) -> str:
        """The WebSocket URL that clients and workers connect to."""
        return f"ws://{HOST}:{self.port}"

    async def _prepare(self) -> Child:
        binary = await find_or_build(self._progress)
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

    async def _serves(self) -> bool:
        return await answers_http(self.port, "/")

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
