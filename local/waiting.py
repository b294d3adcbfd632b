"""Waits until a started child answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from local.procs import Child

_INTERVAL_S = 0.05


async def until_ready(child: Child, ready: Callable[[], Awaitable[bool]], limit_s: float) -> None:
    """Wait until ``ready`` returns true.

    Raises:
        StartError: The child exited first, or was not ready within ``limit_s`` seconds.
    """
    deadline = time.monotonic() + limit_s
    while not await ready():
        if not child.running:
            raise child.failure("exited while starting; the end of its log:")
        if time.monotonic() > deadline:
            raise child.failure(f"not ready after {limit_s:g} s; the end of its log:")
        await asyncio.sleep(_INTERVAL_S)


async def answers_http(port: int, path: str) -> bool:
    """Return whether a GET on 127.0.0.1 gets status 200."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await writer.drain()
        status = await reader.readline()
    except OSError:
        return False
    else:
        return b" 200 " in status
    finally:
        writer.close()
