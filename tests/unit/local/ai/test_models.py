"""The local models behind OpenAI's API, through OpenAI's own client."""

import io
import re
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import aiohttp
import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam

from tests.unit.local.ai_control import set_script
from tests.unit.local.servers import ai_server

SPOKEN = "Please call me back tomorrow. My order has not arrived."
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello, who are you?"}]
Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """One server with the real models for this file."""
    directory: Path = tmp_path_factory.mktemp("ai")
    async with ai_server(directory) as opened:
        yield opened


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
async def test_what_is_spoken_is_heard(client: openai.AsyncOpenAI, audio_format: Format) -> None:
    """Speech in each format is transcribed word by word."""
    speech = await client.audio.speech.create(
        model="tts-1", voice="alloy", input=SPOKEN, response_format=audio_format
    )
    audio = _wav(speech.content) if audio_format == "pcm" else speech.content
    heard = await client.audio.transcriptions.create(
        model="whisper-1", file=("speech", audio), response_format="verbose_json"
    )
    assert _words(heard.text) == _words(SPOKEN)
    assert 2 < heard.duration < 6
    assert heard.usage is not None
    assert heard.usage.seconds >= heard.duration


async def test_speech_comes_before_it_is_all_made(client: openai.AsyncOpenAI) -> None:
    """The first sentence is sent while the others are still to be spoken."""
    async with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=f"Yes. {SPOKEN} " * 5, response_format="pcm"
    ) as speech:
        parts = [part async for part in speech.iter_bytes()]
    assert len(parts) > 5
    assert len(parts[0]) < sum(len(part) for part in parts) / 5


async def test_speed_shortens_speech(client: openai.AsyncOpenAI) -> None:
    lengths = []
    for speed in (1.0, 2.0):
        speech = await client.audio.speech.create(
            model="tts-1", voice="alloy", input=SPOKEN, response_format="pcm", speed=speed
        )
        lengths.append(len(speech.content))
    assert lengths[1] < 0.7 * lengths[0]


async def test_a_streamed_chat_ends_with_its_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said.strip()
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert 0 < chunks[-1].usage.completion_tokens <= 60
    assert chunks[-1].usage.prompt_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_replies_are_kept_short(client: openai.AsyncOpenAI) -> None:
    """However many tokens are asked for, a reply stops at 60; fewer are honoured."""
    for asked, most in ((1000, 60), (3, 3)):
        answer = await client.chat.completions.create(
            model="gpt-4o",
            messages=[{"role": "user", "content": "Tell me a long story about the sea."}],
            max_completion_tokens=asked,
        )
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= most


async def test_the_models_are_listed(client: openai.AsyncOpenAI) -> None:
    models = [model.id async for model in client.models.list()]
    assert models == ["smollm2-135m-instruct", "whisper-tiny.en", "piper-joe"]


async def test_errors_have_the_shape_clients_parse(client: openai.AsyncOpenAI) -> None:
    """The client raises its own classes and finds the parameter that was wrong."""
    with pytest.raises(openai.BadRequestError) as no_text:
        await client.audio.speech.create(model="tts-1", voice="alloy", input=" ")
    assert no_text.value.param == "input"
    with pytest.raises(openai.BadRequestError) as no_audio:
        await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"no audio"))
    assert no_audio.value.param == "file"
    with pytest.raises(openai.BadRequestError) as no_messages:
        await client.chat.completions.create(model="gpt-4o", messages=[])
    assert no_messages.value.param == "messages"
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model="none", input="text")


async def test_a_script_takes_the_place_of_the_model_and_gives_it_back(
    client: openai.AsyncOpenAI,
) -> None:
    """While the server runs; and the model's own replies go wrong on demand too."""
    await set_script(client, {"default": {"reply": "Scripted."}})
    answer = await client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.choices[0].message.content == "Scripted."
    cut = {"on": "llm", "do": "cut", "after": 3, "when": "first 1"}
    await set_script(client, {"llm": "local", "faults": [cut]})
    stream = await client.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
    for _ in range(3):
        await anext(stream)
    with pytest.raises(openai.APIConnectionError):
        await anext(stream)
    answer = await client.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert answer.choices[0].message.content not in {"", "Scripted."}


async def test_the_model_answers_in_a_realtime_session(client: openai.AsyncOpenAI) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{client.base_url}realtime?model=gpt-realtime") as socket,
    ):
        asked = {"instructions": "Say hello to the caller.", "output_modalities": ["text"]}
        await socket.send_json({"type": "response.create", "response": asked})
        event = await socket.receive_json(timeout=20)
        while event["type"] != "response.done":
            event = await socket.receive_json(timeout=20)
    assert event["response"]["status"] == "completed"
    assert event["response"]["output"][0]["content"][0]["text"].strip()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(samples)
    return file.getvalue()
