"""A TCP proxy between a worker and Postgres that fails in the ways networks do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Faults:
    """What goes wrong now; may be changed while connections are open.

    Attributes:
        refuse: New connections are closed at once.
        swallow_requests: What the worker sends goes nowhere, without a reset: a black hole.
        swallow_replies: What Postgres answers goes nowhere.
        swallow_from: The same from the reply on that holds this: a result, of what is done then.
        delay_s: Every piece waits that long, in both directions.
    """

    refuse: bool = False
    swallow_requests: bool = False
    swallow_replies: bool = False
    swallow_from: bytes = b""
    delay_s: float = 0.0


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        url: The database's URL through it.
        faults: What goes wrong now.
        connections: How many were made in all.
        most_at_once: How many were open at once, at most.
        swallowed: Bytes that went nowhere.
    """

    url: str
    faults: Faults = field(default_factory=Faults)
    connections: int = 0
    most_at_once: int = 0
    swallowed: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Reset all connections."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one connection until either side ends it."""
        if self.faults.refuse:
            writer.transport.abort()
            return
        self.connections += 1
        self._open.add(writer)
        self.most_at_once = max(self.most_at_once, len(self._open))
        try:
            # Whatever ends one side ends the other too.
            with contextlib.suppress(ConnectionError):
                up_reader, up_writer = await asyncio.open_connection(host, port)
                try:
                    await asyncio.gather(
                        self._carry(reader, up_writer, requests=True),
                        self._carry(up_reader, writer, requests=False),
                    )
                finally:
                    up_writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _carry(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, requests: bool
    ) -> None:
        while data := await source.read(65536):
            if self.faults.delay_s:
                await asyncio.sleep(self.faults.delay_s)
            last = self.faults.swallow_from
            if last and not requests and last in data:
                self.faults.swallow_replies = True
            if self.faults.swallow_requests if requests else self.faults.swallow_replies:
                self.swallowed += len(data)
                continue
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError  # one side has closed: so does the other


@asynccontextmanager
async def proxy_to(database_url: str) -> AsyncIterator[Proxy]:
    """Run a proxy to a database on a free port of this machine."""
    parts = urlsplit(database_url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 5432
    proxy = Proxy("")
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await proxy.serve(host, port, reader, writer)
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    login = f"{parts.username}:{parts.password}"
    proxy.url = parts._replace(netloc=f"{login}@127.0.0.1:{own}").geturl()
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
