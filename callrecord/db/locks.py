"""Locks on files that end with their process: no forked child keeps one.

A flock belongs to the open file, which a child forked by a tool shares: without this it would keep
the lock of a dead worker for its own life, and nobody could ship what that worker left.
"""

import contextlib
import fcntl
import os

_held: set[int] = set()


def try_lock(fd: int) -> bool:
    """Take the lock on an open file; False if somebody else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


os.register_at_fork(after_in_child=_close_in_child)
