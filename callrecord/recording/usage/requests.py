"""A request to a model: how its row begins, grows and ends.

A model may ask another one of its kind: one that caches its speech, say, or edits its words, is a
model for LiveKit too. What is asked within an attempt takes the place of that attempt's own
request, so that it is counted once.
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
"""Purpose of a request that only asks whether a model that failed is back."""
OUTSIDE: Final = "outside_session"
"""Purpose of a request that is for no speech."""
NO_WORDS: Final = "no_words"
"""Purpose of a request that found no words, as of a cough: no message follows."""
AUDIO: Final = {"method": "audio"}
"""Estimate of a request of which nothing was reported: all its audio."""
_NEVER_SENT: Final = ("ConnectError", "ConnectTimeout", "ClientConnectorError")
"""Errors of HTTP clients that had no connection."""


@dataclass(eq=False)
class Request:
    """One attempt of a stream.

    Attributes:
        row: Its newest version.
        finish: Ends it with what is known; can be called again.
        began: When it went out, time.perf_counter() seconds.
        refused: Whether the provider has not taken it: nobody is paid for that.
        asked: What was asked within it last, if its model passes on to another one.
    """

    row: Usage
    finish: Callable[[], None]
    began: float = field(default_factory=time.perf_counter)
    refused: bool = False
    asked: "Request | None" = None

    @property
    def told(self) -> bool:
        """Whether the provider has told what it used."""
        return not self.row.estimated

    def change(self, **fields: Any) -> None:
        """Note more of it."""
        self.row = msgspec.structs.replace(self.row, **fields)

    def note(self, **metadata: Any) -> None:
        """Note something in its metadata; None takes a note back."""
        merged = self.row.metadata | metadata
        self.change(metadata={name: told for name, told in merged.items() if told is not None})

    def cut(self) -> None:
        """Note that nobody waits for its answer any more, nor for that of one within."""
        self.change(cancelled=True)
        if self.asked is not None:
            self.asked.cut()

    def failed(self, error: BaseException) -> None:
        """Note its failure. One that was answered before was not refused, whatever came then."""
        self.change(error=type(error).__name__)
        has_begun = self.row.request_id is not None or self.row.ttft_ms is not None
        self.refused = was_refused(error) and not has_begun

    def answered(self) -> None:
        """Note the first answer, once."""
        if self.row.ttft_ms is None:
            self.change(ttft_ms=self.age_ms())

    def age_ms(self) -> int:
        """Return the milliseconds since it went out."""
        return round((time.perf_counter() - self.began) * 1000)


def row_of(kind: UsageKind, maker: Any, **fields: Any) -> Usage:
    """Return the row of a request that goes out now to `maker`, a model of LiveKit's."""
    return Usage(
        id=new_id(), kind=kind, at=now(), provider=maker.provider, model=maker.model, **fields
    )


def was_refused(error: BaseException) -> bool:
    """Whether a request failed before the provider took it: nobody is paid for that.

    One whose connection broke later may have been read, and is billed then.
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
    """An attempt under way, which may ask another model of its kind.

    Attributes:
        request: What is booked of it; its row becomes that of the first that it asks.
        passed_on: Whether it has asked another model.
        answered: The request within that gave the answer, of speech to text.
        outermost: The model that was asked first, of speech to text.
    """

    request: Request | None = None
    passed_on: bool = False
    answered: Request | None = None
    outermost: Any = None


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


def estimate(
    estimator: Estimator, model: str, request: Request, prompt: Size, answered: Answer
) -> None:
    """Note what a request has used by now, as far as can be known without being told."""
    asked, made = estimator.prompt(model, prompt), estimator.answer(model, answered)
    request.change(input_tokens=asked, output_tokens=made, total_tokens=asked + made)
    request.note(estimate=estimator.method(model))


def settle(
    estimator: Estimator, model: str, request: Request, prompt: Size, answered: Answer
) -> bool:
    """Note what a request has used that is over, and learn from it if it was told.

    Returns:
        Whether it had to be estimated.
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
