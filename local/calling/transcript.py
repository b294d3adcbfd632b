"""Reports the turns of a conversation in order, although transcription is delayed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

Hear = Callable[[float, float], Awaitable[str]]


class Who(StrEnum):
    """Who spoke."""

    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True)
class Turn:
    """What one side said; times are seconds since the transcript began.

    Attributes:
        who: The side.
        text: What was said; of the agent what was heard, empty if nobody wrote it down.
        started_at_s: When its voice began.
        ended_at_s: When its voice ended.
        latency_s: Of the agent: from the end of what it answers (or, for a greeting, from the
            caller's joining) to its first voice.
        interrupted: Whether the other side spoke into it, or hung up in it.
    """

    who: Who
    text: str
    started_at_s: float
    ended_at_s: float
    latency_s: float | None = None
    interrupted: bool = False


@dataclass(frozen=True)
class AgentTurn:
    """The agent's turn before it is transcribed; times are time.monotonic() seconds."""

    started_at: float
    ended_at: float
    latency_s: float
    interrupted: bool = False


class Transcript:
    """Collects turns; use as `async with`, whose end waits for the last transcript.

    Args:
        on_turn: Called with each turn, in order.
        hear: Transcribes the agent's speech between two monotonic times; None: no transcripts.
    """

    def __init__(self, on_turn: Callable[[Turn], None], hear: Hear | None) -> None:
        self.turns: list[Turn] = []
        self.started_at = time.monotonic()
        self._on_turn = on_turn
        self._hear = hear
        self._queue: asyncio.Queue[Turn | AgentTurn | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.started_at = time.monotonic()
        self._task = asyncio.create_task(self._write(), name="transcript")
        return self

    async def __aexit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        if self._task is None:
            return
        if error_type is not None and issubclass(error_type, asyncio.CancelledError):
            self._task.cancel()
        self._queue.put_nowait(None)
        await asyncio.gather(self._task, return_exceptions=error_type is not None)

    def tell_caller(self, text: str, started_at: float, ended_at: float) -> None:
        """Add what the caller said; times are time.monotonic() seconds."""
        zero = self.started_at
        self._queue.put_nowait(Turn(Who.CALLER, text, started_at - zero, ended_at - zero))

    def tell_agent(self, turn: AgentTurn) -> None:
        """Add what the agent said; it is transcribed in the background."""
        self._queue.put_nowait(turn)

    async def _write(self) -> None:
        while (item := await self._queue.get()) is not None:
            turn = item if isinstance(item, Turn) else await self._transcribed(item)
            self.turns.append(turn)
            self._on_turn(turn)

    async def _transcribed(self, said: AgentTurn) -> Turn:
        text = await self._hear(said.started_at, said.ended_at) if self._hear else ""
        zero = self.started_at
        return Turn(
            Who.AGENT,
            text,
            said.started_at - zero,
            said.ended_at - zero,
            said.latency_s,
            said.interrupted,
        )
