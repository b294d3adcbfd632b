"""Handlers that fail."""

import pytest
from livekit import rtc

from callrecord.events import Unhandled
from tests.unit.callrecord.recording.outbox import Outbox


class Emitter(rtc.EventEmitter[str]):
    """LiveKit's emitter."""


class Odd:
    """Something no handler was written for."""

    def __repr__(self) -> str:
        """Return a text that is too long to keep."""
        return "odd" * 5000


@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError])
def test_a_failing_handler_keeps_the_event(
    outbox: Outbox, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    """LiveKit's emitter lets a TypeError through to whoever emits."""

    def fails(event: Odd) -> None:
        raise error(type(event).__name__)

    emitter = Emitter()
    emitter.on("x", outbox.recorder.guard("x", fails))
    emitter.emit("x", Odd())
    (kept,) = outbox.of(Unhandled)
    assert kept.source == "x"
    assert kept.error == repr(error("Odd"))
    assert kept.raw.startswith("oddodd")
    assert len(kept.raw) == 4096
    assert outbox.recorder.failures == 1
    assert "event handler failed" in caplog.text
    assert "oddodd" not in caplog.text


def test_guarded_handlers_get_the_arguments_they_take(outbox: Outbox) -> None:
    """LiveKit's emitter hands over as many as the signature says, through the guard too."""
    emitter = Emitter()
    got: list[tuple[int, ...]] = []
    emitter.on("x", outbox.recorder.guard("x", lambda one: got.append((one,))))
    emitter.on("x", outbox.recorder.guard("x", lambda one, two: got.append((one, two))))
    emitter.emit("x", 1, 2, 3)
    assert got == [(1,), (1, 2)]
    assert outbox.recorder.failures == 0


def test_a_timer_that_always_fails_is_kept_once_and_counted(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise RuntimeError("no")

    tick = outbox.recorder.guard("tick", fails)
    for _ in range(10):
        tick()
    assert outbox.recorder.guard.failed["tick"] == 10
    assert len(outbox.of(Unhandled)) == 1
    assert caplog.text.count("event handler failed") == 1
