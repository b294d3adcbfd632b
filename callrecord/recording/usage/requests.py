"""A request to a model: how its row starts, changes and ends.

A model may wrap another one of its kind, for example to cache its speech or to edit its words. A
request within an attempt replaces that attempt's own request, so that it is counted once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from socket import gaierror
from typing import Any, Final

import msgspec
from livekit.agents import APIStatusError

from callrecord.events import Usage, UsageKind, new_id, now
from callrecord.recording.usage.estimate import Answer, Estimator, Size

RECOVERY: Final = "recovery_probe"
"""Purpose of a request that only checks whether a failed model is back."""
OUTSIDE: Final = "outside_session"
"""Purpose of a request that belongs to no speech."""
NO_WORDS: Final = "no_words"
"""Purpose of a request that found no words, such as for a cough: no message follows."""
AUDIO: Final = {"method": "audio"}
"""Estimate of a request that reported nothing: all its audio."""
_NEVER_SENT: Final = ("ConnectError", "ConnectTimeout", "ClientConnectorError")
"""Errors of HTTP clients that could not connect."""


@dataclass(eq=False)
class Request:
    """One attempt of a stream.

    Attributes:
        row: The newest version of its row.
        finish: Ends it with what is known; safe to call twice.
        began: When it was sent, in seconds of time.perf_counter().
        refused: Whether the provider did not accept it and bills nothing.
        asked: The last request within it, if its model wraps another one.
    """

    row: Usage
    finish: Callable[[], None]
    began: float = field(default_factory=time.perf_counter)
    refused: bool = False
    asked: "Request | None" = None

    @property
    def told(self) -> bool:
        """Whether the provider has reported what it used."""
        return not self.row.estimated

    def change(self, **fields: Any) -> None:
        """Change columns of its row."""
        self.row = msgspec.structs.replace(self.row, **fields)

    def note(self, **metadata: Any) -> None:
        """Add notes to its metadata; None removes a note."""
        merged = self.row.metadata | metadata
        self.change(metadata={name: value for name, value in merged.items() if value is not None})

    def cut(self) -> None:
        """Mark it as cancelled, and the request within it."""
        self.change(cancelled=True)
        if self.asked is not None:
            self.asked.cut()

    def failed(self, error: BaseException) -> None:
        """Record its failure; a request that has begun to answer was not refused."""
        self.change(error=type(error).__name__)
        has_begun = self.row.request_id is not None or self.row.ttft_ms is not None
        self.refused = was_refused(error) and not has_begun

    def answered(self) -> None:
        """Record the time of the first answer, once."""
        if self.row.ttft_ms is None:
            self.change(ttft_ms=self.age_ms())

    def age_ms(self) -> int:
        """Return the milliseconds since it was sent."""
        return round((time.perf_counter() - self.began) * 1000)


def row_of(kind: UsageKind, maker: Any, **fields: Any) -> Usage:
    """Return the row of a request that is sent now to `maker`, one of LiveKit's models."""
    return Usage(
        id=new_id(), kind=kind, at=now(), provider=maker.provider, model=maker.model, **fields
    )


def was_refused(error: BaseException) -> bool:
    """Whether a request failed before the provider accepted it, and so is not billed.

    If the connection broke later, the provider may have read the request and may bill it.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, APIStatusError | ConnectionRefusedError | gaierror):
            return True
        if type(cause).__name__ in _NEVER_SENT:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@dataclass(eq=False)
class Attempt:
    """A running attempt, which may call another model of its kind.

    Attributes:
        request: Its own request, whose row the first request within it takes over.
        passed_on: Whether it has called another model.
        answered: The request within it that was answered; only for speech to text.
        outermost: The model that was called first; only for speech to text.
    """

    request: Request | None = None
    passed_on: bool = False
    answered: Request | None = None
    outermost: Any = None


_NONE: Final[Mapping[str, Attempt]] = {}
_attempts: ContextVar[Mapping[str, Attempt]] = ContextVar("callrecord_attempts", default=_NONE)


@contextmanager
def attempting(kind: str) -> Iterator[Attempt]:
    """Let requests of the same kind in this context replace the attempt's own request."""
    attempt = Attempt()
    token = _attempts.set({**_attempts.get(), kind: attempt})
    try:
        yield attempt
    finally:
        _attempts.reset(token)


def around(kind: str) -> Attempt | None:
    """Return this task's running attempt of a kind of model, if there is one."""
    return _attempts.get().get(kind)


def estimate(
    estimator: Estimator, model: str, request: Request, prompt: Size, answered: Answer
) -> None:
    """Set an estimate of what a request has used so far."""
    asked, made = estimator.prompt(model, prompt), estimator.answer(model, answered)
    request.change(input_tokens=asked, output_tokens=made, total_tokens=asked + made)
    request.note(estimate=estimator.method(model))


def settle(
    estimator: Estimator, model: str, request: Request, prompt: Size, answered: Answer
) -> bool:
    """Set what a finished request has used, and learn from it if the usage was reported.

    Returns:
        Whether the usage had to be estimated.
    """
    request.change(duration_ms=request.age_ms())
    request.note(open=None)
    if request.told:
        row = request.row
        request.note(estimate=None)
        own_tokens = row.output_tokens - row.reasoning_tokens
        estimator.learn(model, prompt, row.input_tokens, answered, own_tokens)
        return False
    if request.refused:
        request.note(estimate=None)
        request.change(input_tokens=0, output_tokens=0, total_tokens=0, estimated=False)
        return False
    estimate(estimator, model, request, prompt, answered)
    return True
