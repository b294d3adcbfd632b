"""LiveKit's own OpenAI plugins against the local models: what the worker will ask for works."""

from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio
from livekit.agents import llm
from livekit.plugins import openai as plugins

from tests.local.servers import ai_server, eventually

SPOKEN = "My order has not arrived."


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
    await eventually(lambda: usage)
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
