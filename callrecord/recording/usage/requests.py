"""What all streams share: how a request's row begins, grows and ends."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from socket import gaierror
from typing import Any, Final

import msgspec
from livekit.agents import APIStatusError

from callrecord.events import Usage, UsageKind, new_id, now

RECOVERY: Final = "recovery_probe"
"""Purpose of a request that only asks whether a model that failed is back."""
OUTSIDE: Final = "outside_session"
"""Purpose of a request that is for no speech."""
_PROBES: Final = ("_recover_llm_task", "_recover_stt_task", "_recover_tts_task")
"""LiveKit's tasks that ask a model whether it is back; nobody hears the answer."""
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


def purpose(speech_id: str | None) -> str | None:
    """Return what a request of this task is for, if not for a speech of a session."""
    if is_probe():
        return RECOVERY
    return None if speech_id else OUTSIDE


def is_probe() -> bool:
    """Whether this task only asks whether a model that failed is back."""
    task = asyncio.current_task()
    name = "" if task is None else getattr(task.get_coro(), "__qualname__", "")
    return name.endswith(_PROBES)


def was_refused(error: BaseException) -> bool:
    """Whether a request failed before the provider took it: nobody is paid for that.

    One whose connection broke later may have been read, and is billed then.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, APIStatusError | ConnectionRefusedError | gaierror):
            return True
        if type(cause).__name__ in _NEVER_SENT:
            return True
        cause = cause.__cause__ or cause.__context__
    return False
