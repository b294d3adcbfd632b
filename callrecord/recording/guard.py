"""The guard between an emitter and our handlers: nothing is raised, and nothing is lost."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from callrecord.events import Event, Unhandled, now
from callrecord.privacy import private_logger

logger = private_logger("voice.recorder")

RAW_LIMIT = 4096
"""Characters kept of an event that could not be handled."""


class Guard:
    """Makes handlers safe.

    A timer's handler that always fails has nothing to keep: its failure is kept once, then counted.

    Attributes:
        failed: Events that could not be handled, by the handler's name.
    """

    def __init__(self, append: Callable[[Event], None]) -> None:
        """`append` takes what could not be handled, as it was; it never raises."""
        self._append = append
        self.failed: Counter[str] = Counter()

    def __call__(self, name: str, handler: Callable[..., None]) -> Callable[..., None]:
        """Return the handler, made safe for an emitter: it can't raise and loses nothing."""

        @functools.wraps(handler)
        def guarded(*args: Any, **named: Any) -> None:
            try:
                handler(*args, **named)
            except Exception as error:
                self.failed[name] += 1
                if args or named or self.failed[name] == 1:
                    logger.exception(
                        "event handler failed, event kept raw", extra={"event_type": name}
                    )
                raw = " ".join(map(_repr, (*args, *named.items())))[:RAW_LIMIT]
                if args or named or self.failed[name] == 1:
                    self._append(Unhandled(at=now(), source=name, error=repr(error), raw=raw))

        return guarded


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - what could not be handled may not be told either
        return f"<{type(value).__name__}: {type(error).__name__}>"
