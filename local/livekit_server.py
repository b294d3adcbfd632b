"""A local LiveKit server, bound only to the loopback address."""

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
    """One LiveKit server with its own keys, and with its files in ``directory``.

    A stop ends its rooms at once, and a restart does not restore them.
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
            grace_s=1.0,  # otherwise it waits until its rooms are empty
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
                "tcp_port": 0,  # none, because it would listen on every interface
                "udp_port": udp_port,
                "use_external_ip": False,
                "node_ip": HOST,
                # Only loopback candidates; otherwise each stack would bind its UDP port on
                # other interfaces too.
                "enable_loopback_candidate": True,
                "ips": {"includes": [f"{HOST}/32"]},
                # Without this, the server gives clients public STUN servers. Nothing listens on
                # port 9 (RFC 863). With the server's own UDP port, no client ever connects.
                "stun_servers": [f"{HOST}:9"],
            },
        }
