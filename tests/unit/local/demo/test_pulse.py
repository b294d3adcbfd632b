"""The demo is never silent for long."""

import asyncio
import io

import pytest
from rich.console import Console

from local.demo.pulse import Pulse
from tests.waiting import until


@pytest.mark.usefixtures("short_silence")
async def test_a_line_breaks_a_long_silence() -> None:
    """It names what is being waited for, again and again; a line of the talk starts anew."""
    out = io.StringIO()
    pulse = Pulse(Console(file=out, width=80))
    async with pulse.beating():
        pulse.progress("worker: starting, takes a while")
        await until(lambda: out.getvalue().count("worker: starting ...") >= 2, timeout_s=5)
        pulse.say(lambda: None, "caller: listening")
        await until(lambda: "caller: listening ..." in out.getvalue(), timeout_s=5)
    lines = out.getvalue().count("\n")
    await asyncio.sleep(0)
    assert out.getvalue().count("\n") == lines


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test does not take as long as a person's patience."""
    monkeypatch.setattr("local.demo.pulse.SILENCE_S", 0.3)
    monkeypatch.setattr("local.demo.pulse._TICK_S", 0.02)
