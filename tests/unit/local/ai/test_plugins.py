"""LiveKit's own OpenAI plugins against the local models: what the worker will ask for works."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from livekit import rtc
from livekit.agents import (
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APIStatusError,
    APITimeoutError,
    llm,
)
from livekit.plugins import openai as plugins

from tests.unit.local.ai_control import set_script
from tests.unit.local.servers import (
    ai_server,
)
from tests.waiting import until

SPOKEN = "My order has not arrived."
# No second try, and half a second for each part of an answer.
ONCE = APIConnectOptions(max_retry=0, timeout=0.5)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """One server with the real models; a client of ours, since the plugins leave theirs open."""
    async with ai_server(tmp_path_factory.mktemp("plugins")) as opened:
        yield opened


@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])
@pytest.mark.parametrize("audio_format", ["mp3", "pcm"])
async def test_speech_is_heard(client: openai.AsyncOpenAI, model: str, audio_format: str) -> None:
    """As plain bytes for the older model, as events with their token usage for the newer."""
    tts = plugins.TTS(model=model, client=client, response_format=audio_format)
    usage: list[int] = []
    tts.on("metrics_collected", lambda metrics: usage.append(metrics.output_tokens))
    stt = plugins.STT(model="whisper-1", client=client, use_realtime=False)
    async with tts.synthesize(SPOKEN) as stream:
        frame = await stream.collect()
    assert frame.sample_rate == 24_000
    event = await stt.recognize(frame)
    assert event.alternatives[0].text.lower() == SPOKEN.lower()
    await until(lambda: usage)
    assert (usage[0] > 0) == (model == "gpt-4o-mini-tts")
    await tts.aclose()
    await stt.aclose()


async def test_a_chat_tells_its_usage(client: openai.AsyncOpenAI) -> None:
    model = plugins.LLM(model="gpt-4o-mini", client=client)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are kind. Answer in one sentence.")
    context.add_message(role="user", content="Hello!")
    async with model.chat(chat_ctx=context) as stream:
        chunks = [chunk async for chunk in stream]
    assert "".join(chunk.delta.content or "" for chunk in chunks if chunk.delta).strip()
    usage = chunks[-1].usage
    assert usage is not None
    assert 0 < usage.completion_tokens <= 60
    await model.aclose()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"do": "fail", "status": 500}, APIStatusError),
        ({"do": "fail", "status": 401}, APIStatusError),
        ({"do": "stall"}, APITimeoutError),
        ({"do": "stall", "after": 2}, APITimeoutError),
        ({"do": "cut", "after": 0}, APIConnectionError),
        ({"do": "cut", "after": 2}, APIConnectionError),
    ],
)
async def test_a_chat_goes_wrong(
    client: openai.AsyncOpenAI, fault: dict[str, Any], error: type[APIError]
) -> None:
    """A reply is tried again only if none of it came, and no key is wrong."""
    await _faults(client, {"on": "llm"} | fault)
    model = plugins.LLM(model="gpt-4o-mini", client=client)
    with pytest.raises(error) as caught:
        await _chat(model)
    begun, wrong_key = fault.get("after") == 2, fault.get("status") == 401
    assert caught.value.retryable is not (begun or wrong_key)
    await model.aclose()


async def test_a_chat_says_nothing_or_calls_badly(client: openai.AsyncOpenAI) -> None:
    """None of it is an error to the plugin: it is for the agent to see."""
    model = plugins.LLM(model="gpt-4o-mini", client=client)
    for do in ("empty", "unknown_tool", "bad_arguments"):
        await _faults(client, {"on": "llm", "do": do})
        chunks = await _chat(model)
        calls = [c.name for chunk in chunks if chunk.delta for c in chunk.delta.tool_calls]
        assert calls == ([] if do == "empty" else ["no_such_tool"])
        assert not any(chunk.delta.content for chunk in chunks if chunk.delta)
    await model.aclose()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"do": "fail", "status": 429}, APIStatusError),
        ({"do": "empty"}, APIError),
        ({"do": "cut"}, APIConnectionError),
        ({"do": "cut", "after": 0}, APIConnectionError),
    ],
)
@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])
async def test_speech_goes_wrong(
    client: openai.AsyncOpenAI, model: str, fault: dict[str, Any], error: type[APIError]
) -> None:
    await _faults(client, {"on": "tts"} | fault)
    tts = plugins.TTS(model=model, client=client, response_format="pcm")
    with pytest.raises(error):
        async with tts.synthesize(SPOKEN, conn_options=ONCE) as stream:
            await stream.collect()
    await tts.aclose()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"do": "fail", "status": 503}, APIStatusError),
        ({"do": "cut"}, APIConnectionError),
    ],
)
async def test_hearing_goes_wrong(
    client: openai.AsyncOpenAI, fault: dict[str, Any], error: type[APIError]
) -> None:
    await _faults(client, {"on": "stt"} | fault)
    stt = plugins.STT(model="whisper-1", client=client, use_realtime=False)
    with pytest.raises(error):
        await stt.recognize(_silence(), conn_options=ONCE)
    await stt.aclose()


async def test_nothing_is_heard(client: openai.AsyncOpenAI) -> None:
    await _faults(client, {"on": "stt", "do": "empty"})
    stt = plugins.STT(model="whisper-1", client=client, use_realtime=False)
    event = await stt.recognize(_silence(), conn_options=ONCE)
    assert event.alternatives[0].text == ""
    await stt.aclose()


async def _faults(client: openai.AsyncOpenAI, *faults: dict[str, Any]) -> None:
    await set_script(client, {"tts": "tone", "stt": ["hello"] * 9, "faults": faults})


async def _chat(model: plugins.LLM) -> list[llm.ChatChunk]:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello!")
    async with model.chat(chat_ctx=context, conn_options=ONCE) as stream:
        return [chunk async for chunk in stream]


def _silence() -> rtc.AudioFrame:
    return rtc.AudioFrame(bytes(9_600), 24_000, 1, 4_800)
