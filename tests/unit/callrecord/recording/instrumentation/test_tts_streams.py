"""Requests to speech models, however they end, against the bill of the models' server."""

import asyncio

import openai
import pytest
from livekit.agents import APIConnectOptions, APIError, tts
from livekit.plugins import openai as plugins

from callrecord.recording.usage.meter import Meter
from tests.unit.callrecord.recording.instrumentation.conftest import SCRIPT, Ask, Bill
from tests.unit.callrecord.recording.instrumentation.streaming import StreamingTTS
from tests.unit.callrecord.recording.outbox import Outbox, tell
from tests.unit.local.ai_control import faulty
from tests.waiting import until

TEXT = "It is warm in Lisbon. It is cold in Oslo."


@pytest.fixture
async def voice(ask: Ask, client: openai.AsyncOpenAI) -> plugins.TTS:
    """A speech model, in a call that is recorded; its metrics reach the session."""
    session = await ask()
    model = plugins.TTS(model="tts-1", client=client, response_format="pcm")
    model.on("metrics_collected", lambda told: tell(session, told))
    return model


@pytest.fixture
async def metered_voice(ask: Ask, client: openai.AsyncOpenAI) -> plugins.TTS:
    """A model that tells tokens and has done so once, in a call that is recorded."""
    await ask()
    model = plugins.TTS(model="gpt-4o-mini-tts", client=client, response_format="pcm")
    async with model.synthesize(TEXT) as stream:
        await stream.collect()
    return model


async def test_speech_is_one_request_as_billed(
    outbox: Outbox, voice: plugins.TTS, bill: Bill
) -> None:
    async with voice.synthesize(TEXT) as stream:
        frame = await stream.collect()
    await until(lambda: not outbox.usage()[0].metadata.get("open"), what="its end")
    (request,) = outbox.usage()
    (line,) = await bill.lines("tts")
    assert request.characters == line["characters"] == len(TEXT)
    assert request.audio_ms == pytest.approx(frame.duration * 1000, abs=1)
    assert (request.cancelled, request.estimated, request.error) == (False, False, None)
    assert request.ttft_ms is not None


async def test_speech_that_was_cut_counts_whole(
    outbox: Outbox, voice: plugins.TTS, client: openai.AsyncOpenAI
) -> None:
    """Its text was sent; LiveKit's metrics tell nothing of it if no sound had come."""
    async with faulty(client, SCRIPT, {"on": "tts", "do": "stall"}):
        stream = voice.synthesize(TEXT)
        await until(outbox.usage, what="the request")
        await stream.aclose()
    (request,) = outbox.usage()
    assert (request.cancelled, request.estimated) == (True, True)  # it may not have been sent
    assert request.characters == len(TEXT)
    assert "open" not in request.metadata


async def test_tokens_of_speech_that_was_cut_are_estimated(
    outbox: Outbox, metered_voice: plugins.TTS, client: openai.AsyncOpenAI
) -> None:
    """From what the model told before: it tells them with its last sound."""
    async with faulty(client, SCRIPT, {"on": "tts", "do": "stall", "after": 2}):
        stream = metered_voice.synthesize(TEXT)
        await stream.__anext__()
        await stream.aclose()
    told, cut = outbox.usage()
    assert (told.estimated, cut.estimated, cut.cancelled) == (False, True, True)
    assert cut.input_tokens == told.input_tokens
    assert 0 < cut.output_tokens < told.output_tokens


async def test_tokens_of_speech_that_failed_halfway_are_estimated(
    outbox: Outbox, bill: Bill, metered_voice: plugins.TTS, client: openai.AsyncOpenAI
) -> None:
    """The provider has spoken, and bills it."""
    async with faulty(client, SCRIPT, {"on": "tts", "do": "cut", "after": 2}):
        with pytest.raises(APIError):
            async with metered_voice.synthesize(
                TEXT, conn_options=APIConnectOptions(max_retry=0)
            ) as stream:
                await stream.collect()
    told, failed = outbox.usage()
    assert (failed.error, failed.estimated) == ("APIConnectionError", True)
    assert failed.input_tokens == told.input_tokens
    assert 0 < failed.output_tokens < told.output_tokens
    assert [line["characters"] for line in await bill.lines("tts")] == [len(TEXT)] * 2


async def test_sentences_of_a_stream_are_requests(
    outbox: Outbox, voice: plugins.TTS, bill: Bill
) -> None:
    """A model that cannot stream is asked sentence by sentence."""
    adapter = tts.StreamAdapter(tts=voice)
    async with adapter.stream() as stream:
        stream.push_text(TEXT)
        stream.end_input()
        async for _ in stream:
            pass
    await until(
        lambda: outbox.usage() and not any(each.metadata.get("open") for each in outbox.usage()),
        what="their end",
    )
    lines = await bill.lines("tts")
    assert sorted(each.characters or 0 for each in outbox.usage()) == sorted(
        line["characters"] for line in lines
    )


async def test_refused_speech_has_cost_nothing(
    outbox: Outbox, voice: plugins.TTS, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    async with faulty(client, SCRIPT, {"on": "tts", "do": "fail", "status": 500}):
        with pytest.raises(APIError):
            async with voice.synthesize(
                TEXT, conn_options=APIConnectOptions(max_retry=0)
            ) as stream:
                await stream.collect()
    (request,) = outbox.usage()
    assert (request.error, request.characters) == ("APIStatusError", 0)
    assert await bill.lines("tts") == []


async def test_a_stream_asks_when_there_is_text(outbox: Outbox, ask: Ask) -> None:
    """One opened ahead of a text that never came is no request."""
    await ask()
    voice = StreamingTTS()
    await voice.stream().aclose()
    async with voice.stream() as stream:
        await asyncio.sleep(0)  # it runs, and has nothing to say yet
        assert outbox.usage() == []
        stream.push_text(TEXT)
        assert outbox.usage()[0].metadata["open"]
        stream.end_input()
        async for _ in stream:
            pass
    (request,) = outbox.usage()
    assert (request.characters, request.audio_ms) == (len(TEXT), 1000)
    assert (request.cancelled, request.error) == (False, None)


async def test_a_meter_that_fails_leaves_the_speech_alone(
    outbox: Outbox, voice: plugins.TTS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Meter, "begin")
    async with voice.synthesize(TEXT) as stream:
        frame = await stream.collect()
    assert frame.duration > 0
    # LiveKit's metrics count in its place.
    await until(outbox.usage, what="the request")
    assert [each.characters for each in outbox.usage()] == [len(TEXT)]
    assert outbox.recorder.gaps() == [f"tts {voice.provider}/tts-1: 1 request not seen"]
