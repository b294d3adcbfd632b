"""A dump is restored on a server that has never heard of us, and migrated."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from callrecord.schema.migrate import migrate
from tests.postgres.callrecord.schema.catalogue import catalogue, differences, rows
from tests.postgres.callrecord.schema.version_99 import NEW_TABLES, restore_version_99
from tests.postgres.server import DEBIAN_15, database, embedded_18, psql, server
from tests.unit.callrecord.calls import enlisted

pytestmark = pytest.mark.every_postgres

NO_STOP = ("-v", "ON_ERROR_STOP=0")


@pytest.fixture(scope="module")
async def programs(postgres_server: str) -> Path:
    """Programs of the version that the server has."""
    connection = await asyncpg.connect(postgres_server)
    version = connection.get_server_version().major
    await connection.close()
    found = DEBIAN_15 if version == 15 else embedded_18()
    if found is None or not (found / "pg_dump").exists():
        pytest.skip("no pg_dump of this version")
    return found


@pytest.fixture
def elsewhere(programs: Path) -> Iterator[str]:
    """URL of a server without any role of ours."""
    with server(programs) as url:
        yield url


def dump(programs: Path, url: str, *flags: str) -> str:
    command = [str(programs / "pg_dump"), "--no-owner", *flags, url]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def restore(url: str, text: str) -> None:
    """As somebody does it: what needs a role that is not there is passed over."""
    # Of a newer pg_dump; an older psql does not know them.
    new = ("\\restrict", "\\unrestrict")
    kept = [line for line in text.splitlines() if not line.startswith(new)]
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write("\n".join(kept) + "\n")
        file.flush()
        psql(url, *NO_STOP, "-f", file.name)


async def missing_of(url: str, whole: dict[str, str]) -> set[str]:
    return {each.name.split()[0] for each in differences(await catalogue(url), whole)}


@pytest.mark.parametrize("flags", [(), ("--no-privileges",)], ids=["whole", "without rights"])
async def test_a_dump_of_ours_becomes_whole(
    programs: Path, elsewhere: str, empty_database_url: str, flags: tuple[str, ...]
) -> None:
    """Roles are in no dump, and so its policies and grants to them are not restored either.

    The routines are noted in it as they were applied: it is seen that they are in another place.
    """
    restore_version_99(empty_database_url, *NO_STOP)
    await migrate(empty_database_url)
    whole, before = await catalogue(empty_database_url), await rows(empty_database_url)
    text = dump(programs, empty_database_url, *flags)
    async with database(elsewhere) as url:
        restore(url, text)
        assert await missing_of(url, whole) >= {"role", "policy", "table"}
        done = await migrate(url)
        assert (done.applied, done.routines) == ([], True)
        assert differences(await catalogue(url), whole) == []
        assert await rows(url) == before
        assert not (await migrate(url)).routines
        # A login is the operator's, with its password: it has to be enlisted again.
        async with enlisted(url) as login:
            worker = await asyncpg.connect(login)
            assert await worker.fetchval("show lock_timeout") == "5s"
            assert await worker.fetchval("select count(*) from voice_calls") == 6
            await worker.close()


async def test_a_dump_of_version_99_becomes_whole(elsewhere: str, database_url: str) -> None:
    async with database(elsewhere) as url:
        restore_version_99(url, *NO_STOP)
        before = await rows(url)
        await migrate(url)
        assert differences(await catalogue(url), await catalogue(database_url)) == []
        assert await rows(url) == before | NEW_TABLES


async def test_where_the_roles_are_a_dump_is_restored_as_it_was(
    programs: Path, database_url: str, empty_database_url: str
) -> None:
    restore(empty_database_url, dump(programs, database_url))
    whole = await catalogue(database_url)
    assert differences(await catalogue(empty_database_url), whole) == []
    await migrate(empty_database_url)
    assert differences(await catalogue(empty_database_url), whole) == []
