"""Models that ask another one of their kind: what is asked within is the request, counted once.

A model may stand before another one, to cache its speech or to edit its words, and is a model for
LiveKit all the same. What it passes on would be counted twice: its own request, and the other's.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from callrecord.recording.usage.requests import Request


@dataclass(eq=False)
class Attempt:
    """An attempt under way, which may ask another model of its kind.

    Attributes:
        request: What is booked of it; its row becomes that of the first that it asks.
        passed_on: Whether it has asked another model.
        answered: The request within that gave the answer, of speech to text.
    """

    request: Request | None = None
    passed_on: bool = False
    answered: Request | None = None


_NONE: Final[Mapping[str, Attempt]] = {}
_attempts: ContextVar[Mapping[str, Attempt]] = ContextVar("callrecord_attempts", default=_NONE)


@contextmanager
def attempting(kind: str) -> Iterator[Attempt]:
    """Have what is asked in here, of the same kind, take the place of the attempt's own request."""
    attempt = Attempt()
    token = _attempts.set({**_attempts.get(), kind: attempt})
    try:
        yield attempt
    finally:
        _attempts.reset(token)


def around(kind: str) -> Attempt | None:
    """Return the attempt of a kind of model that this task is a part of."""
    return _attempts.get().get(kind)
