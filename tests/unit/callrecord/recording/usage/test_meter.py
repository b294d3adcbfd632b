"""The meter: whose requests for utterances are reported, and which errors mean "never taken"."""

from dataclasses import dataclass

import pytest
from livekit.agents import APIConnectionError
from livekit.agents.metrics import STTMetrics

from callrecord.events import Usage, new_id, now
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.requests import was_refused


@dataclass(eq=False)
class Ear:
    """A model that transcribes, or one that stands before it."""

    label: str = "ear"
    wrapped_stt: "Ear | None" = None


def request(**fields: object) -> Usage:
    return Usage(id=new_id(), kind="stt", at=now(), metadata=dict(fields))


METRICS = STTMetrics(
    label="ear", request_id="", timestamp=1.0, duration=0.1, audio_duration=1.0, streamed=False
)


@pytest.mark.parametrize("wrapped", [False, True])
def test_vain_attempts_belong_to_the_session_whose_model_was_asked(*, wrapped: bool) -> None:
    """Two sessions with models of one name, one of which had to try twice."""
    meter, first, second = Meter(lambda _: None), Ear(), Ear()
    vain, answered, other = request(), request(), request()
    meter.utterances_of(first).failed(vain)
    meter.utterances_of(second).answered(other)
    meter.utterances_of(first).answered(answered)
    asked = [Ear(wrapped_stt=each) if wrapped else each for each in (second, first)]
    assert meter.take_heard(METRICS, asked[0]) == [other]
    assert meter.take_heard(METRICS, asked[1]) == [vain, answered]
    assert meter.take_heard(METRICS, asked[1]) == []


def test_a_probe_leaves_vain_attempts_to_the_next_answer() -> None:
    meter, ear = Meter(lambda _: None), Ear()
    vain, probe, answered = request(), request(purpose="recovery_probe"), request()
    asked = meter.utterances_of(ear)
    asked.failed(vain)
    for row, found in ((probe, [probe]), (answered, [vain, answered])):
        asked.answered(row)
        assert meter.take_heard(METRICS, ear) == found


def test_causes_in_a_circle_come_to_an_end() -> None:
    first, second = APIConnectionError("no"), OSError("no")
    first.__cause__, second.__cause__ = second, first
    assert not was_refused(first)
    second.__context__ = ConnectionRefusedError()
    assert not was_refused(first), "a cause hides the context"
