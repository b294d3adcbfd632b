"""Each setting of the models reaches the model; providers' answers and stalls are real."""

import time
from pathlib import Path
from typing import Any

import openai
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, APITimeoutError, llm
from livekit.agents.stt import STT, FallbackAdapter, StreamAdapter
from livekit.agents.types import NOT_GIVEN
from livekit.plugins.openai.realtime.realtime_model import process_base_url

from agent.models.build import Models, build_models
from agent.models.clients import Clients
from agent.models.pipeline import Parts, prepare
from agent.settings import Settings
from tests.unit.local.ai_control import faulty, set_script

SCRIPT: dict[str, Any] = {"tts": "tone", "stt": [], "default": {"reply": "Hello."}}
ONCE = APIConnectOptions(max_retry=0, timeout=5)
SILENCE = rtc.AudioFrame(bytes(48_000), 24_000, 1, 24_000)


@pytest.fixture(scope="module")
async def server(scripted: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """The models with this file's script."""
    await set_script(scripted, SCRIPT)
    return scripted


def _settings(**given: object) -> Settings:
    return Settings.model_validate({"openai_api_key": "k", **given})


def _models(**given: object) -> Models:
    settings = _settings(**given)
    return build_models(settings, Clients(settings.agent_model_timeout_s))


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_openais() -> None:
    models = _models()
    (hears,), (thinks,), (speaks,) = models.stt, models.llm, models.tts
    names = (hears.model, thinks.model, speaks.model)
    assert names == ("gpt-4o-mini-transcribe", "gpt-4.1-mini", "gpt-4o-mini-tts")
    assert {hears.provider, thinks.provider, speaks.provider} == {"api.openai.com"}
    assert thinks._opts.temperature is NOT_GIVEN  # type: ignore[attr-defined]
    assert models.realtime is None


def test_each_setting_reaches_its_model() -> None:
    models = _models(
        agent_language="pt-BR",
        agent_stt_model="hears",
        agent_llm_model="thinks",
        agent_llm_temperature=0.4,
        agent_tts_model="speaks",
        agent_tts_voice="coral",
        agent_tts_speed=1.2,
    )
    (hears,), (thinks,), (speaks,) = models.stt, models.llm, models.tts
    assert (hears.model, hears._opts.languages) == ("hears", ["pt-BR"])  # type: ignore[attr-defined]
    assert (thinks.model, thinks._opts.temperature) == ("thinks", 0.4)  # type: ignore[attr-defined]
    options = speaks._opts  # type: ignore[attr-defined]
    assert (options.model, options.voice, options.speed) == ("speaks", "coral", 1.2)


def test_a_realtime_model_takes_the_place_of_the_three() -> None:
    models = _models(
        agent_realtime_model="gpt-realtime",
        agent_realtime_voice="cedar",
        agent_language="pt-BR",
        openai_base_url="http://127.0.0.1:1/some/path/v1",
    )
    assert not models.stt
    assert not models.llm
    assert [each.model for each in models.tts] == ["gpt-4o-mini-tts"]
    model: Any = models.realtime
    assert (model.model, model.provider) == ("gpt-realtime", "127.0.0.1:1")
    assert model._opts.voice == "cedar"
    transcription = model._opts.input_audio_transcription
    assert (transcription.model, transcription.language) == ("gpt-4o-mini-transcribe", "pt")
    url = process_base_url(model._opts.base_url, model.model)
    assert url == "ws://127.0.0.1:1/some/path/v1/realtime?model=gpt-realtime"


def test_a_realtime_model_may_be_alone() -> None:
    assert not _models(agent_realtime_model="gpt-realtime", agent_realtime_say="model").tts


def test_a_server_and_key_have_one_client() -> None:
    """And all clients one HTTP client: each would make an SSL context while a call waits."""
    models = _models(
        agent_llm_base_url="https://other.example/v1",
        agent_llm_api_key="other",
        agent_fallback_base_url="https://second.example/v1",
        agent_fallback_api_key="second",
        agent_fallback_stt_model="a",
        agent_fallback_llm_model="b",
        agent_fallback_tts_model="c",
        agent_fallback_tts_voice="nova",
    )
    every: list[Any] = [*models.stt, *models.llm, *models.tts]
    clients = [each._client for each in every]
    keys = [client.api_key for client in clients]
    assert keys == ["k", "second", "other", "second", "k", "second"]
    assert len({id(client) for client in clients}) == 3
    assert len({id(client._client) for client in clients}) == 1
    assert every[-1]._opts.voice == "nova"


async def test_azure_is_asked_by_its_own_paths(server: openai.AsyncOpenAI) -> None:
    """The name of the model is the deployment's; real requests, and no key of OpenAI's."""
    given = {
        "openai_api_key": "",
        "azure_openai_endpoint": str(server.base_url).removesuffix("/v1/"),
        "azure_openai_api_key": "azure",
        "agent_llm_model": "my deployment",
    }
    parts = prepare(_settings(**given))
    try:
        assert await _said(parts) == "Hello."
        async with _tts(parts).synthesize("Hello.", conn_options=ONCE) as stream:
            assert sum([part.frame.duration async for part in stream]) > 0
        heard = await _stt(parts).recognize(SILENCE, conn_options=ONCE)
        assert heard.alternatives[0].text == ""
    finally:
        await parts.aclose()


@pytest.mark.parametrize("on", ["stt", "llm", "tts"])
async def test_a_model_that_stalls_is_left_in_time(server: openai.AsyncOpenAI, on: str) -> None:
    """LiveKit's plugins would wait for 30 s with speech to text and text to speech."""
    parts = prepare(_settings(openai_base_url=str(server.base_url), agent_model_timeout_s=0.5))
    began = time.monotonic()
    try:
        async with faulty(server, SCRIPT, {"on": on, "do": "stall"}):
            with pytest.raises((APITimeoutError, APIConnectionError)):
                await _ask(parts, on)
    finally:
        await parts.aclose()
    assert time.monotonic() - began < 5


def test_one_provider_is_asked_without_an_adapter() -> None:
    parts = prepare(_settings())
    assert (parts.stt, parts.llm, parts.tts) == (
        parts.models.stt[0],
        parts.models.llm[0],
        parts.models.tts[0],
    )
    assert parts.providers == 1


def test_a_provider_that_streams_is_not_asked_by_whole_utterances() -> None:
    """Only if all of them want whole utterances, they get them."""
    second = {
        "agent_fallback_base_url": "https://second.example/v1",
        "agent_fallback_api_key": "second",
        "agent_fallback_stt_model": "whisper-1",
    }
    assert isinstance(prepare(_settings(**second)).stt, StreamAdapter)
    streams = prepare(_settings(**second, agent_stt_model="gpt-realtime-whisper"))
    assert isinstance(streams.stt, FallbackAdapter)
    assert streams.providers == 2


async def _ask(parts: Parts, on: str) -> None:
    if on == "llm":
        await _said(parts)
    elif on == "stt":
        await _stt(parts).recognize(SILENCE, conn_options=ONCE)
    else:
        async with _tts(parts).synthesize("Hello.", conn_options=ONCE) as stream:
            await anext(stream)


async def _said(parts: Parts) -> str:
    model = parts.llm
    assert isinstance(model, llm.LLM)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello?")
    async with model.chat(chat_ctx=context, conn_options=ONCE) as stream:
        return "".join([part.delta.content or "" async for part in stream if part.delta])


def _stt(parts: Parts) -> STT[Any]:
    assert parts.stt is not None
    return parts.stt


def _tts(parts: Parts) -> Any:
    assert parts.tts is not None
    return parts.tts
