"""What is replaced in LiveKit's classes so that a call can be observed, and how it is put back.

Each of them calls what it replaces, with what it was given, and returns what that returns. Jobs
that are not recorded only pass through.
"""

import threading
from collections.abc import Callable
from typing import Any

_changing = threading.RLock()
"""The first two jobs of a process may be threads, and begin at once."""
_applied: set[str] = set()
_replaced: list[tuple[Any, str, Any]] = []


def apply_once(name: str, patch: Callable[[], None]) -> None:
    """Run `patch`, which calls `replace`, unless the patch of this name stands already."""
    with _changing:
        if name not in _applied:
            patch()
            _applied.add(name)


def replace(owner: Any, name: str, new: Any) -> None:
    """Put `new` in the place of an attribute of a class or module, and keep what stood there."""
    with _changing:
        _replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, new)


def uninstall() -> None:
    """Put back all that was replaced in LiveKit, in this process.

    Calls that are recorded now lack from then on what the patches tell: do it when none is.
    The next `record` patches anew.
    """
    with _changing:
        while _replaced:
            setattr(*_replaced.pop())
        _applied.clear()
