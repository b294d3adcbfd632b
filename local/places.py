"""Directories: the cache that stays, and run directories that go with their stack."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CACHE = PROJECT / ".cache" / "local"
_PREFIX = "voice-stack-"
_LOCK = "lock"


@contextmanager
def run_directory() -> Iterator[Path]:
    """Make a directory for one stack, removed at the end.

    Directories whose stack was killed are removed as well: a living stack holds a lock in its
    own. Other users can pass through it but not list it, because Postgres refuses to run as root
    and then runs as nobody.
    """
    _remove_orphans()
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        unlocked = directory / f"{_LOCK}.new"
        with unlocked.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unlocked.rename(directory / _LOCK)  # nobody sees the file before it is locked
            directory.chmod(0o711)
            yield directory
    finally:
        shutil.rmtree(directory)


def _remove_orphans() -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        lock_file = directory / _LOCK
        if not lock_file.is_file() or directory.stat().st_uid != os.getuid():
            continue
        with lock_file.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(directory, ignore_errors=True)
