"""Locks on files that end with their process: no forked child keeps one.

A flock belongs to the open file, which a child forked by a tool shares: without this it would keep
the lock of a dead worker for its own life, and nobody could ship what that worker left.
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
        Stop: It is Windows.
    """
    if fcntl is None:
        raise Stop("Windows lacks the file locks (flock) that recording needs: use WSL")


def lock(fd: int) -> None:
    """Take the lock on an open file.

    Raises:
        BlockingIOError: Somebody else has it.
    """
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(fd: int) -> bool:
    """Take the lock on an open file; False if somebody else has it."""
    try:
        lock(fd)
    except BlockingIOError:
        return False
    _held.add(fd)
    return True


def close(fd: int) -> None:
    """Close an open file and give up its lock, if it has one."""
    _held.discard(fd)
    os.close(fd)


def _close_in_child() -> None:
    while _held:
        with contextlib.suppress(OSError):  # closed by the parent's other thread at the fork
            os.close(_held.pop())


def in_forked_child(callback: Callable[[], None]) -> None:
    """Have every forked child call back at its start; on a system without fork there is none."""
    if hasattr(os, "fork"):
        os.register_at_fork(after_in_child=callback)


in_forked_child(_close_in_child)
