"""Directories: the cache, and run directories that are removed with their stack."""

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
    """Create a directory for one stack, and remove it at the end.

    Args:
        on_failure: Called with the directory before an error removes it.

    It also removes directories of stacks that were killed; a running stack holds a lock in its own.
    Other users can traverse the directory but not list it, because Postgres refuses to run as root
    and runs as nobody instead.
    """
    _remove_orphans()
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_base()))
    try:
        unlocked = directory / f"{_LOCK}.new"
        with unlocked.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(directory / _LOCK)  # the file appears only once it is locked
            directory.chmod(0o711)
            yield directory
    except Exception:
        if on_failure is not None:
            on_failure(directory)
        raise
    finally:
        shutil.rmtree(directory)


def _base() -> Path:
    # Job processes use sockets in it, whose paths may have at most about 100 characters.
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
