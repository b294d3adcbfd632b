"""The longest duration of a call; what ends one for silence is in tests/rooms/test_limits.py."""

import asyncio

import pytest

from agent.rescue.limits import Duration


class Told:
    """What a call was told, in order."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.ended = asyncio.Event()

    def duration(self, limit_s: float, warning_s: float) -> Duration:
        """Return a duration that tells us."""
        return Duration(limit_s, warning_s, warn=lambda: self.words.append("warn"), end=self._end)

    def _end(self) -> None:
        self.words.append("end")
        self.ended.set()


@pytest.mark.parametrize(
    ("warning_s", "words"),
    [(0.05, ["warn", "end"]), (0, ["end"]), (0.1, ["end"]), (9, ["end"])],
)
async def test_a_warning_that_would_be_the_greeting_is_none(
    warning_s: float, words: list[str]
) -> None:
    told = Told()
    duration = told.duration(0.1, warning_s)
    duration.start()
    await asyncio.wait_for(told.ended.wait(), 5)
    assert told.words == words


async def test_a_second_start_gives_no_more_time() -> None:
    """Neither a second one, when the caller has come back, nor one after the stop."""
    told, over = Told(), asyncio.Event()
    duration = told.duration(0.2, 0)
    loop = asyncio.get_running_loop()
    duration.start()
    loop.call_later(0.1, duration.start)
    # Timers fire in their order however late the loop is; with more time the end is at 0.3.
    loop.call_later(0.25, told.words.append, "later")
    loop.call_later(0.25, over.set)
    await asyncio.wait_for(over.wait(), 5)
    assert told.words == ["end", "later"]


async def test_no_limit_and_no_call_any_more() -> None:
    told, never = Told(), Told()
    never.duration(0, 60).start()
    stopped = never.duration(0.01, 0)
    stopped.start()
    stopped.stop()
    stopped.start()
    told.duration(0.05, 0).start()
    await asyncio.wait_for(told.ended.wait(), 5)
    assert never.words == []
