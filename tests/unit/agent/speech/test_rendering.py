"""Messages rendered ahead, by a real speech server that may be down."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest
from livekit.agents import AgentSession, APIConnectOptions
from livekit.plugins.openai import TTS

from agent.assistant import FAREWELL
from agent.settings import Settings, load
from agent.speech.phrases import Phrases, messages
from agent.speech.rendering import Rendering
from agent.speech.speech_cache import SUFFIX
from tests.unit.local.ai_control import set_script
from tests.waiting import until

ALL = 8  # five messages of the settings; greeting, farewell and hand-over of the persona


@pytest.fixture
async def server(
    scripted: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> openai.AsyncOpenAI:
    """A speech server that speaks in tones; one that fails is asked again at once."""
    monkeypatch.setattr("agent.speech.rendering.FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(APIConnectOptions, "_interval_for_retry", lambda *_: 0.01)
    await set_script(scripted, {"tts": "tone", "stt": []})
    return scripted


@pytest.fixture
def settings(
    server: openai.AsyncOpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings that name it."""
    monkeypatch.setenv("OPENAI_BASE_URL", str(server.base_url))
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("AGENT_SPEECH_CACHE_DIR", str(tmp_path / "speech"))
    return load(tmp_path / "none")


def files(settings: Settings) -> list[Path]:
    """Return what is in the cache."""
    return list(settings.agent_speech_cache_dir.glob(f"*{SUFFIX}"))


async def test_a_worker_renders_what_its_jobs_say(settings: Settings) -> None:
    """Once: the next worker finds it. A job needs no server then."""
    rendering = Rendering(settings)
    rendering.start()
    await until(lambda: len(files(settings)) == ALL, what="all messages")
    await rendering.stop()
    async with _phrases(settings) as phrases:
        await phrases.load("Hello! How can I help you today?")
        await phrases.load(FAREWELL)
        for text in (*messages(settings), "Hello! How can I help you today?", FAREWELL):
            audio = phrases.audio(text)
            assert audio is not None
            assert audio.duration > 0.05
        assert phrases.audio("Good morning!") is None


async def test_a_server_that_is_down_is_asked_again(
    server: openai.AsyncOpenAI, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    down = {"on": "tts", "do": "fail", "status": 503}
    await set_script(server, {"tts": "tone", "stt": [], "faults": [down]})
    rendering = Rendering(settings)
    rendering.start()
    await until(lambda: "will try again" in caplog.text, what="a failure")
    assert files(settings) == []
    await set_script(server, {"tts": "tone", "stt": []})
    await until(lambda: len(files(settings)) == ALL, what="all messages")
    await rendering.stop()


async def test_a_directory_that_is_not_writable_is_one_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The job renders for itself then, while the caller talks."""
    settings.agent_speech_cache_dir.write_text("a file")
    rendering = Rendering(settings)
    rendering.start()
    await until(lambda: "AGENT_SPEECH_CACHE_DIR" in caplog.text, what="the warning")
    await rendering.stop()
    assert [each.levelno for each in caplog.records if each.name == "voice.rendering"] == [
        logging.WARNING
    ]
    async with _phrases(settings) as phrases:
        await phrases.load()
        assert phrases.audio(settings.agent_error_message) is None
        await phrases.complete()
        assert phrases.audio(settings.agent_error_message) is not None


async def test_the_cache_is_swept_though_the_server_is_down(
    server: openai.AsyncOpenAI, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await set_script(server, {"tts": "tone", "stt": [], "faults": [{"on": "tts", "do": "fail"}]})
    settings.agent_speech_cache_dir.mkdir()
    half = settings.agent_speech_cache_dir / "half.tmp"
    half.write_bytes(b"")
    os.utime(half, (1, 1))
    rendering = Rendering(settings)
    rendering.start()
    await until(lambda: "will try again" in caplog.text, what="a failure")
    assert not half.exists()
    await rendering.stop()


async def test_stop_is_safe_unstarted_and_twice(settings: Settings) -> None:
    rendering = Rendering(settings)
    await rendering.stop()
    rendering.start()
    await rendering.stop()
    await rendering.stop()


async def test_a_session_that_is_not_running_says_so(settings: Settings) -> None:
    """Rendered or not: whoever asks has to know that nothing is heard."""
    async with _phrases(settings) as phrases, AgentSession[None]() as session:
        with pytest.raises(RuntimeError):
            phrases.say(session, settings.agent_error_message)


@asynccontextmanager
async def _phrases(settings: Settings) -> AsyncIterator[Phrases]:
    """Phrases of a job, with a speech model of its own."""
    async with openai.AsyncOpenAI(base_url=settings.openai_base_url, api_key="key") as client:
        model, voice = settings.agent_tts_model, settings.agent_tts_voice
        yield Phrases(settings, TTS(model=model, voice=voice, client=client))
