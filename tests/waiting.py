"""Waiting on a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

TICK_S = 0.02


@overload
async def until(
    look: Callable[[], Awaitable[T | None]], *, timeout_s: float = ..., what: str = ...
) -> T: ...
@overload
async def until(look: Callable[[], T | None], *, timeout_s: float = ..., what: str = ...) -> T: ...
async def until(
    look: Callable[[], T | Awaitable[T | None] | None],
    *,
    timeout_s: float = 20.0,
    what: str = "a condition",
) -> T:
    """Look until the answer is true, and return it.

    Raises:
        AssertionError: It was not in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        value = await found if isinstance(found, Awaitable) else found
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:.0f} s for {what}; last seen: {value!r}")
        await asyncio.sleep(TICK_S)
