"""A real PgBouncer in front of a test's Postgres."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from tests.postgres.server import account, free_port

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
START_S = 10.0


@contextmanager
def pgbouncer(url: str, mode: Literal["transaction", "session"]) -> Iterator[str]:
    """Run it, and yield the URL that leads through it to the same database.

    The test is skipped where it is not installed (Debian's package pgbouncer).
    """
    if PROGRAM is None:
        pytest.skip("no pgbouncer (Debian's package pgbouncer)")
    parts = urlsplit(url)
    port = free_port()
    home = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    try:
        if user := account():
            shutil.chown(home, user)
            home.chmod(0o755)
        users, settings, log = home / "users.txt", home / "pgbouncer.ini", home / "log"
        users.write_text(f'"{parts.username}" "{parts.password}"\n')
        settings.write_text(
            "[databases]\n"
            f"* = host={parts.hostname} port={parts.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {users}\npool_mode = {mode}\n"
        )
        with log.open("wb") as out:
            process = subprocess.Popen([PROGRAM, "-q", settings], stdout=out, stderr=out, user=user)
        try:
            _wait_until_it_listens(process, port, log)
            login = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
            yield parts._replace(netloc=login).geturl()
        finally:
            process.terminate()
            process.wait(10)
    finally:
        shutil.rmtree(home)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"pgbouncer ended: {log.read_text()}")
        if _listens(port):
            return
        time.sleep(0.05)  # between two looks, until the deadline
    raise RuntimeError("pgbouncer does not listen")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
