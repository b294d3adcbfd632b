"""LiveKit's RealtimeModel against the local models: it speaks to them, and is answered."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio
from livekit import rtc
from livekit.agents import APIError, llm
from livekit.agents.metrics import RealtimeModelMetrics, STTMetrics
from livekit.plugins.openai import realtime

from tests.unit.local.ai_control import control_url, faulty
from tests.unit.local.servers import (
    ai_server,
)
from tests.waiting import until

ASKED = "Please tell me about the weather."
REPLY = "It is sunny today. Please take a hat."
LONG = "This is a very long story about the sea and the wind and the rain. " * 3
SCRIPT: dict[str, Any] = {
    "rules": [
        {"match": "weather", "reply": REPLY},
        {"match": "story", "reply": LONG},
        {
            "match": "order",
            "reply": None,
            "tool_call": {"name": "look_up", "arguments": {"order": 7}},
            "after_tool": "It is on its way.",
        },
    ]
}
FRAME = 2_400


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """One server that hears and speaks for this file."""
    async with ai_server(tmp_path_factory.mktemp("realtime"), SCRIPT) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asked(client: openai.AsyncOpenAI) -> bytes:
    """The question, spoken."""
    speech = await client.audio.speech.create(
        model="tts-1", voice="alloy", input=ASKED, response_format="pcm"
    )
    return speech.content


class Talk:
    """A session, and all that it told."""

    def __init__(self, session: realtime.RealtimeSession) -> None:
        self.session = session
        self.heard: list[str] = []
        self.generations: list[llm.GenerationCreatedEvent] = []
        self.metrics: list[RealtimeModelMetrics] = []
        self.stt_metrics: list[STTMetrics] = []
        self.errors: list[llm.RealtimeModelError] = []
        self.interruptions = 0
        session.on("input_audio_transcription_completed", self._transcribed)
        session.on("generation_created", self.generations.append)
        session.on("metrics_collected", self._measured)
        session.on("error", self.errors.append)
        session.on("input_speech_started", self._interrupted)

    def speak(self, pcm: bytes) -> None:
        """Say something, and then nothing for a second."""
        pcm += bytes(48_000)
        for start in range(0, len(pcm) - FRAME * 2 + 1, FRAME * 2):
            self.session.push_audio(
                rtc.AudioFrame(pcm[start : start + FRAME * 2], 24_000, 1, FRAME)
            )

    async def say(self, text: str) -> llm.GenerationCreatedEvent:
        """Write something, and let it be answered."""
        context = self.session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self.session.update_chat_ctx(context)
        return await self.session.generate_reply()

    def _transcribed(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            self.heard.append(event.transcript)

    def _measured(self, metrics: RealtimeModelMetrics | STTMetrics) -> None:
        if isinstance(metrics, STTMetrics):
            self.stt_metrics.append(metrics)
        elif metrics.request_id:  # the others tell of connections
            self.metrics.append(metrics)

    def _interrupted(self, _event: llm.InputSpeechStartedEvent) -> None:
        self.interruptions += 1


@pytest_asyncio.fixture(loop_scope="session")
async def talk(client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Talk]:
    """A session of a model that knows nothing but OPENAI_BASE_URL and a key."""
    monkeypatch.setenv("OPENAI_BASE_URL", str(client.base_url).rstrip("/"))
    monkeypatch.setenv("OPENAI_API_KEY", "local")
    async with aiohttp.ClientSession() as http:
        session = realtime.RealtimeModel(http_session=http).session()
        yield Talk(session)
        await session.aclose()


async def test_a_caller_is_heard_and_answered(
    client: openai.AsyncOpenAI, talk: Talk, asked: bytes
) -> None:
    """By speech that says the words of its transcript, and with the cost of each."""
    await talk.session.update_instructions("You are kind.")
    talk.speak(asked)
    await until(lambda: talk.generations)
    text, frames = await _listen(talk.generations[0])
    await until(lambda: talk.metrics)
    assert talk.heard == [ASKED]
    assert text == REPLY
    file = ("reply.wav", rtc.combine_audio_frames(frames).to_wav_bytes())
    spoken = await client.audio.transcriptions.create(model="whisper-1", file=file)
    assert _words(spoken.text) == _words(REPLY)
    measured, seconds = talk.metrics[0], sum(frame.duration for frame in frames)
    assert measured.output_token_details.text_tokens == 8
    assert measured.output_token_details.audio_tokens == pytest.approx(seconds * 20, abs=1)
    assert measured.input_token_details.text_tokens == 3
    assert measured.input_token_details.audio_tokens == talk.stt_metrics[0].input_audio_tokens > 10
    assert 0 < measured.ttft < measured.duration
    assert not measured.cancelled
    assert [item.text_content for item in talk.session.chat_ctx.messages()] == [ASKED, REPLY]
    assert talk.errors == []


async def test_a_caller_interrupts(talk: Talk, asked: bytes) -> None:
    """What was sent of the reply is billed; the rest was never made."""
    generation = await talk.say("Tell me a story.")
    listening = asyncio.create_task(_listen(generation))
    await until(lambda: talk.session._current_generation and _begun(talk.session))
    talk.speak(asked)
    text, frames = await listening
    seconds = sum(frame.duration for frame in frames)
    assert talk.interruptions == 1
    assert 0 < len(text) < len(LONG)
    await until(lambda: talk.metrics)
    assert talk.metrics[0].cancelled
    assert talk.metrics[0].output_token_details.audio_tokens == pytest.approx(seconds * 20, abs=1)
    await until(lambda: len(talk.generations) == 2)
    assert (await _listen(talk.generations[1]))[0] == REPLY


async def test_the_bill_is_what_was_told(
    client: openai.AsyncOpenAI, talk: Talk, asked: bytes
) -> None:
    """Of a response, of one that was cut, and of what was heard beside it."""
    generation = await talk.say("Tell me a story.")
    listening = asyncio.create_task(_listen(generation))
    await until(lambda: talk.session._current_generation and _begun(talk.session))
    talk.speak(asked)
    await listening
    await until(lambda: len(talk.generations) == 2)
    await _listen(talk.generations[1])
    await until(lambda: len(talk.metrics) == 2 and talk.stt_metrics)
    answer: Any = await client.get(control_url(client, "bill"), cast_to=object)
    billed = {line["id"]: line for line in answer["requests"]}
    for told in talk.metrics:
        asked_for, made = told.input_token_details, told.output_token_details
        assert asked_for.cached_tokens_details is not None
        line = billed[told.request_id]
        assert (line["prompt_tokens"], line["prompt_audio_tokens"]) == (
            told.input_tokens,
            asked_for.audio_tokens,
        )
        assert (line["cached_tokens"], line["cached_audio_tokens"]) == (
            asked_for.cached_tokens,
            asked_for.cached_tokens_details.audio_tokens,
        )
        assert (line["completion_tokens"], line["completion_audio_tokens"]) == (
            told.output_tokens,
            made.audio_tokens,
        )
    heard = billed[talk.stt_metrics[0].request_id]
    assert heard["kind"] == "stt"
    assert heard["prompt_audio_tokens"] == talk.stt_metrics[0].input_audio_tokens > 0
    assert heard["completion_tokens"] == talk.stt_metrics[0].output_tokens


async def test_a_client_interrupts_and_truncates(talk: Talk) -> None:
    generation = await talk.say("Tell me a story.")
    message = await anext(aiter(generation.message_stream))
    await anext(aiter(message.audio_stream))
    talk.session.interrupt()
    await until(lambda: talk.metrics)
    assert talk.metrics[0].cancelled
    talk.session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=100)
    assert (await _listen(await talk.say("What is the weather?")))[0] == REPLY
    assert talk.metrics[1].input_token_details.audio_tokens == 2
    assert talk.errors == []


async def test_a_function_is_called_and_answered(talk: Talk) -> None:
    await talk.session.update_tools([_look_up])
    generation = await talk.say("Where is my order?")
    calls = [call async for call in generation.function_stream]
    assert [(call.name, call.arguments) for call in calls] == [("look_up", '{"order": 7}')]
    context = talk.session.chat_ctx.copy()
    context.items.append(
        llm.FunctionCallOutput(
            call_id=calls[0].call_id, name="look_up", output="sent", is_error=False
        )
    )
    await talk.session.update_chat_ctx(context)
    assert (await _listen(await talk.session.generate_reply()))[0] == "It is on its way."
    assert talk.errors == []


async def test_a_failed_response_is_told(client: openai.AsyncOpenAI, talk: Talk) -> None:
    async with faulty(
        client, SCRIPT, {"on": "realtime", "do": "fail", "status": 500, "when": "first 1"}
    ):
        await talk.say("Hello.")
        await until(lambda: talk.errors)
        assert talk.errors.pop().recoverable
        assert (await _listen(await talk.say("The weather?")))[0] == REPLY


async def test_a_quota_that_is_used_up_ends_the_session(client: openai.AsyncOpenAI) -> None:
    fault = {"on": "realtime", "do": "fail", "status": 429, "code": "insufficient_quota"}
    async with faulty(client, SCRIPT, fault), aiohttp.ClientSession() as http:
        url = str(client.base_url)
        talk = Talk(
            realtime.RealtimeModel(base_url=url, api_key="local", http_session=http).session()
        )
        await talk.say("Hello.")
        await until(lambda: talk.errors)
        assert not talk.errors[0].recoverable
        with pytest.raises(APIError, match="insufficient_quota"):
            await talk.session.aclose()


async def test_a_cut_connection_is_opened_again(client: openai.AsyncOpenAI, talk: Talk) -> None:
    """The plugin tells the new session what was said in the old one."""
    async with faulty(client, SCRIPT, {"on": "realtime", "do": "cut", "when": "first 1"}):
        generation = await talk.say("What is the weather?")
        await _listen(generation)
        await until(lambda: talk.errors)
        assert talk.errors.pop().recoverable
        assert (await _listen(await talk.session.generate_reply()))[0] == REPLY


@llm.function_tool
async def _look_up(order: int) -> str:
    """Look an order up.

    Args:
        order: The order's number.
    """
    return f"order {order} was sent"


def _begun(session: realtime.RealtimeSession) -> bool:
    generation: Any = session._current_generation
    return generation._first_token_timestamp is not None


async def _listen(generation: llm.GenerationCreatedEvent) -> tuple[str, list[rtc.AudioFrame]]:
    """The words and the speech of a reply that is one message."""
    text: list[str] = []
    frames: list[rtc.AudioFrame] = []
    async for message in generation.message_stream:
        text += [part async for part in message.text_stream]
        frames += [frame async for frame in message.audio_stream]
    return "".join(text), frames


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
