"""The guard around our event handlers: it lets no exception out and loses no event."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from callrecord.events import Event, Unhandled, now
from callrecord.privacy import private_logger

logger = private_logger("voice.recorder")

RAW_LIMIT = 4096
"""How many characters of an unhandled event are kept."""


class Guard:
    """Makes handlers safe.

    A timer's handler gets no event to keep: its first failure is kept, later ones are counted.

    Attributes:
        failed: The number of failures, by the handler's name.
    """

    def __init__(self, append: Callable[[Event], None]) -> None:
        """`append` records unhandled events in raw form; it never raises."""
        self._append = append
        self.failed: Counter[str] = Counter()

    def __call__(self, name: str, handler: Callable[..., None]) -> Callable[..., None]:
        """Return a version of the handler that never raises and keeps what it could not handle."""

        @functools.wraps(handler)
        def guarded(*args: Any, **named: Any) -> None:
            try:
                handler(*args, **named)
            except Exception as error:
                self.failed[name] += 1
                event = (*args, *named.items())
                if not event and self.failed[name] > 1:
                    return
                logger.exception("event handler failed, event kept raw", extra={"event_type": name})
                raw = " ".join(map(_repr, event))[:RAW_LIMIT]
                self._append(Unhandled(at=now(), source=name, error=repr(error), raw=raw))

        return guarded


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - the value may be broken in any way
        return f"<{type(value).__name__}: {type(error).__name__}>"
