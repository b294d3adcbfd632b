"""Directories: the cache that stays, and run directories that go with their stack."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "local"
_PREFIX = "voice-stack-"
_LOCK = "lock"
_LONGEST_BASE = 45


@contextmanager
def run_directory(on_failure: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Make a directory for one stack, removed at the end.

    Args:
        on_failure: Called with the directory before it is removed because of an error.

    Directories whose stack was killed are removed as well: a living stack holds a lock in its
    own. Other users can pass through it but not list it, because Postgres refuses to run as root
    and then runs as nobody.
    """
    _remove_orphans()
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_base()))
    try:
        unlocked = directory / f"{_LOCK}.new"
        with unlocked.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(directory / _LOCK)  # nobody sees the file before it is locked
            directory.chmod(0o711)
            yield directory
    except Exception:
        if on_failure is not None:
            on_failure(directory)
        raise
    finally:
        shutil.rmtree(directory)


def _base() -> Path:
    # Job processes are started by sockets below it, whose paths may have about 100 characters.
    base = Path(tempfile.gettempdir())
    return base if len(str(base)) <= _LONGEST_BASE else Path("/tmp")  # noqa: S108 - by mkdtemp


def _remove_orphans() -> None:
    for directory in _base().glob(f"{_PREFIX}*"):
        lock_file = directory / _LOCK
        if not lock_file.is_file() or directory.stat().st_uid != os.getuid():
            continue
        with lock_file.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(directory, ignore_errors=True)
