"""Replaces parts of LiveKit's classes so that a call can be observed, and restores them.

Each replacement calls the original with the same arguments and returns its result. For jobs that
are not recorded it does nothing else.
"""

import threading
from collections.abc import Callable
from typing import Any

_changing = threading.RLock()
"""The first jobs of a process may be threads that start at the same time."""
_applied: set[str] = set()
_replaced: list[tuple[Any, str, Any]] = []


def apply_once(name: str, patch: Callable[[], None]) -> None:
    """Run `patch`, which calls `replace`, unless the patch of this name is applied already."""
    with _changing:
        if name not in _applied:
            patch()
            _applied.add(name)


def replace(owner: Any, name: str, new: Any) -> None:
    """Replace an attribute of a class or module with `new`, and remember the original."""
    with _changing:
        _replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, new)


def uninstall() -> None:
    """Restore everything that was replaced in LiveKit, in this process.

    Call this while no call is recorded: such a call would then lack what the patches observe. The
    next `record` applies them again.
    """
    with _changing:
        while _replaced:
            setattr(*_replaced.pop())
        _applied.clear()
