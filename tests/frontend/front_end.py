"""The front end of habits.ts in a process of its own, with its REST server, as PostgREST stands."""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from tests.frontend.toolchain import NODE

ROLES = "anon, authenticated, service_role"


class RefusedError(Exception):
    """What PostgREST answered; `code` is Postgres' SQLSTATE or PostgREST's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class FrontEnd:
    """Asks the process; several requests may be under way at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asks, self._answers = process.stdin, process.stdout
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def do(self, user: UUID | str | None, habit: str, *arguments: object) -> Any:
        """Do one of habits.ts as a signed-in user, and return what it returns.

        What docs/front-end.md shows is done likewise: "start" and "conversation"; None has not
        signed in.

        Raises:
            RefusedError: The database refused.
        """
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        asked = {"id": number, "user": str(user or ""), "habit": habit, "with": arguments}
        self._asks.write(json.dumps(asked, default=str).encode() + b"\n")
        return await answer

    async def listen(self) -> None:
        """Hand out the answers until the process has gone."""
        async for line in self._answers:
            said = json.loads(line)
            answer = self._waiting.pop(said["id"])
            if "error" in said:
                answer.set_exception(RefusedError(**said["error"]))
            else:
                answer.set_result(said["result"])
        for answer in self._waiting.values():
            answer.set_exception(EOFError("the front end's process has ended"))


@asynccontextmanager
async def front_end(sources: Path, database_url: str, log: Path) -> AsyncIterator[FrontEnd]:
    """Run one for a database; what its server logs goes to the file `log`."""
    async with _authenticator(database_url) as url:
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(NODE, "main.ts"),
                cwd=sources,
                env=os.environ | {"DATABASE_URL": url, "DO_NOT_TRACK": "1"},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        asking = FrontEnd(process)
        listening = asyncio.ensure_future(asking.listen())
        try:
            yield asking
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has left
                await process.stdin.wait_closed()
            await process.wait()
            await listening


@asynccontextmanager
async def _authenticator(database_url: str) -> AsyncIterator[str]:
    """Make a login like PostgREST's: it can become the roles of requests, and grant nothing.

    Unlike PostgREST's it inherits, because our server looks for tables in information_schema.
    """
    owner = await asyncpg.connect(database_url)
    name, password = f"authenticator_{secrets.token_hex(8)}", secrets.token_hex(12)
    try:
        await owner.execute(f"create role {name} login inherit password '{password}'")
        await owner.execute(f"grant {ROLES} to {name}")
        parts = urlsplit(database_url)
        yield parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl()
    finally:
        await owner.execute(f"drop owned by {name}")
        await owner.execute(f"drop role {name}")
        await owner.close()
