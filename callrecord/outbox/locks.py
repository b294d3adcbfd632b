"""File locks that end with the process which took them: no forked child keeps one.

A flock belongs to the open file, and a child forked by a tool shares that file. Without this
module, such a child would keep a dead worker's lock, and no worker could ship what it left.
"""

import contextlib
import os
from collections.abc import Callable

from callrecord.errors import Stop

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()


def require_locks() -> None:
    """Check that this system has flock.

    Raises:
        Stop: This is Windows.
    """
    if fcntl is None:
        raise Stop("Windows lacks the file locks (flock) that recording needs: use WSL")


def lock(fd: int) -> None:
    """Take the lock on an open file.

    Raises:
        BlockingIOError: Another process holds it.
    """
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(fd: int) -> bool:
    """Take the lock on an open file; return False if another process holds it."""
    try:
        lock(fd)
    except BlockingIOError:
        return False
    _held.add(fd)
    return True


def close(fd: int) -> None:
    """Close an open file, and release its lock if we hold it."""
    _held.discard(fd)
    os.close(fd)


def _close_in_child() -> None:
    while _held:
        with contextlib.suppress(OSError):  # another thread of the parent closed it at the fork
            os.close(_held.pop())


def in_forked_child(callback: Callable[[], None]) -> None:
    """Register a callback that runs first in every forked child, where the system has fork."""
    if hasattr(os, "fork"):
        os.register_at_fork(after_in_child=callback)


in_forked_child(_close_in_child)
