"""Streams of speech to text: what they tell, and what is missing when they end."""

from collections.abc import AsyncIterator

import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, APIStatusError
from livekit.agents.stt import RecognizeStream

from callrecord.recording.usage.estimate import Estimator
from tests.unit.callrecord.recording.instrumentation.conftest import Ask
from tests.unit.callrecord.recording.instrumentation.streaming import SECOND, StreamingSTT
from tests.unit.callrecord.recording.outbox import Outbox

ONCE = APIConnectOptions(max_retry=0)


@pytest.fixture
async def ear(ask: Ask) -> StreamingSTT:
    """A model, in a call that is recorded."""
    await ask()
    return StreamingSTT()


@pytest.fixture
async def stream(ear: StreamingSTT) -> AsyncIterator[RecognizeStream]:
    """A stream of it."""
    stream = ear.stream(conn_options=ONCE)
    yield stream
    await stream.aclose()


async def _hear(stream: RecognizeStream, seconds: int) -> None:
    for _ in range(seconds):
        stream.push_frame(SECOND)


async def test_what_was_told_needs_no_row_of_its_own(
    outbox: Outbox, ear: StreamingSTT, stream: RecognizeStream
) -> None:
    """It is in LiveKit's metrics; silence after it is no request."""
    await _hear(stream, 3)
    ear.said("Hello.")
    ear.used(3.0)
    await anext(stream)
    await anext(stream)
    await _hear(stream, 2)
    await stream.aclose()
    assert outbox.usage() == []


async def test_words_that_no_usage_followed_are_estimated(
    outbox: Outbox, ear: StreamingSTT, stream: RecognizeStream
) -> None:
    """By the share of its audio that the model counted before."""
    await _hear(stream, 4)
    ear.used(2.0)
    await anext(stream)
    await _hear(stream, 3)
    ear.said("Hello.")
    await anext(stream)
    await stream.aclose()
    (request,) = outbox.usage()
    assert (request.audio_ms, request.estimated, request.cancelled) == (1500, True, False)
    assert outbox.recorder.gaps() == []


async def test_a_model_that_never_tells_is_a_gap(
    outbox: Outbox, ear: StreamingSTT, stream: RecognizeStream
) -> None:
    await _hear(stream, 2)
    ear.said("Hello.")
    await anext(stream)
    await stream.aclose()
    (request,) = outbox.usage()
    assert (request.audio_ms, request.estimated) == (2000, True)
    assert outbox.recorder.gaps() == ["stt tests/ear-1: 1 request without figures"]


async def test_a_stream_that_was_refused_costs_nothing(
    outbox: Outbox, ear: StreamingSTT, stream: RecognizeStream
) -> None:
    await _hear(stream, 2)
    await _fail(ear, stream, APIStatusError("no", status_code=401))
    (request,) = outbox.usage()
    assert (request.audio_ms, request.error) == (0, "APIStatusError")
    assert not request.estimated


@pytest.mark.parametrize(
    "error", [APIConnectionError("broken"), APIStatusError("overloaded", status_code=503)]
)
async def test_a_stream_that_broke_counts_what_it_heard(
    outbox: Outbox, ear: StreamingSTT, stream: RecognizeStream, error: APIError
) -> None:
    await _hear(stream, 2)
    ear.said("Hello.")
    await _fail(ear, stream, error)
    (request,) = outbox.usage()
    assert (request.audio_ms, request.error) == (2000, type(error).__name__)
    assert request.estimated


async def test_a_meter_that_fails_leaves_the_words_alone(
    outbox: Outbox, ear: StreamingSTT, stream: RecognizeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Estimator, "learn_hearing")
    await _hear(stream, 2)
    ear.used(2.0)
    ear.said("Hello.")
    await anext(stream)
    heard = await anext(stream)
    assert heard.alternatives[0].text == "Hello."
    assert "stt tests/ear-1: 1 request not seen" in outbox.recorder.gaps()


async def _fail(ear: StreamingSTT, stream: RecognizeStream, error: APIError) -> None:
    ear.events.put_nowait(error)
    with pytest.raises(APIError):
        await _to_the_end(stream)


async def _to_the_end(stream: RecognizeStream) -> None:
    async for _ in stream:
        pass
