"""A real Postgres for every test that asks for one, and a database of its own for each test."""

from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack

import asyncpg
import hypothesis
import pytest

from tests.postgres.server import Connection, database
from tests.postgres.servers import Servers
from tests.rooms.worker import LOGS

# A test asserts nothing about the clock: a busy machine is no fault.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

pytest_plugins = ["tests.rooms.stack"]

LOG_LINES = 60
LOG_COLUMNS = 400


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker of this file."""
    for marker in (
        "every_postgres: schema, upgrade, rights, plan, a routine's only one: on the oldest, too",
        "oldest_postgres: such a test on the oldest one; put on by itself",
    ):
        config.addinivalue_line("markers", marker)


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of the longest tests: those in rooms, and of those the longest one."""
    longest = "test_model_faults.py"
    items.sort(
        key=lambda item: (item.get_closest_marker("room") is None, item.path.name != longest)
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the servers of a test: one, or both ends of what is supported."""
    if "postgres_server" not in metafunc.fixturenames:
        return
    versions = [pytest.param("newest")]
    if metafunc.definition.get_closest_marker("every_postgres"):
        versions.append(pytest.param("oldest", marks=pytest.mark.oldest_postgres))
    metafunc.parametrize("postgres_server", versions, indirect=True, scope="session")


@pytest.fixture(scope="session")
async def postgres_servers() -> AsyncIterator[Servers]:
    """The servers of this process."""
    async with AsyncExitStack() as until_the_end:
        yield Servers(until_the_end)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, postgres_servers: Servers) -> str:
    """URL of a server's administrator: TEST_DATABASE_URL, DATABASE_URL, or a server of our own."""
    return postgres_servers.url(request.param)


@pytest.fixture(scope="session")
async def migrated_template(postgres_servers: Servers, postgres_server: str) -> str:
    """URL of a database with the newest schema, for `database_url` to clone."""
    return await postgres_servers.template(postgres_server)


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
