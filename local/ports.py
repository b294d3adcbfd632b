"""Free ports on the loopback address."""

import random
import socket

HOST = "127.0.0.1"
# Below the ephemeral ports of Linux and macOS, so that no other program gets a port while its
# server restarts.
_PORTS = range(20_000, 32_000)
_ATTEMPTS = 200


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that is free on 127.0.0.1 now.

    Raises:
        OSError: No free port was found.
    """
    for _ in range(_ATTEMPTS):
        port = random.choice(_PORTS)  # noqa: S311 - not a secret
        with socket.socket(socket.AF_INET, kind) as probe:
            if probe.connect_ex((HOST, port)) == 0 and kind is socket.SOCK_STREAM:
                continue
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port found on {HOST} between {_PORTS.start} and {_PORTS.stop}")
