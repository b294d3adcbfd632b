"""Models behind OpenAI's API: of OpenAI, of Azure, or of any compatible server."""

from typing import Any

from livekit.agents import APIConnectOptions, LanguageCode
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import openai
from livekit.plugins.openai.realtime import RealtimeModel
from openai.types.realtime import AudioTranscription

from agent.models.clients import Clients
from agent.settings import Settings
from agent.settings.servers import kinds_used, second_server, server_of


def speech_to_text(settings: Settings, clients: Clients) -> list[openai.STT]:
    """Return the models of the settings, the second provider's last."""
    language = settings.agent_language
    client = clients.of(server_of(settings, "stt"))
    models = [openai.STT(model=settings.agent_stt_model, language=language, client=client)]
    if settings.agent_fallback_stt_model:
        client = clients.of(second_server(settings))
        model = settings.agent_fallback_stt_model
        models.append(openai.STT(model=model, language=language, client=client))
    return models


def language_model(settings: Settings, clients: Clients) -> list[openai.LLM]:
    """Return the models of the settings, the second provider's last."""
    given = settings.agent_llm_temperature
    temperature = NOT_GIVEN if given is None else given
    client = clients.of(server_of(settings, "llm"))
    models = [openai.LLM(model=settings.agent_llm_model, client=client, temperature=temperature)]
    if settings.agent_fallback_llm_model:
        client = clients.of(second_server(settings))
        model = settings.agent_fallback_llm_model
        models.append(openai.LLM(model=model, client=client, temperature=temperature))
    return models


def text_to_speech(settings: Settings, clients: Clients) -> list[openai.TTS]:
    """Return the models of the settings, the second provider's last; none if none is used."""
    if "tts" not in kinds_used(settings):
        return []
    speed = settings.agent_tts_speed
    client = clients.of(server_of(settings, "tts"))
    model, voice = settings.agent_tts_model, settings.agent_tts_voice
    models = [openai.TTS(model=model, voice=voice, speed=speed, client=client)]
    if settings.agent_fallback_tts_model:
        client = clients.of(second_server(settings))
        model, voice = settings.agent_fallback_tts_model, settings.agent_fallback_tts_voice
        models.append(openai.TTS(model=model, voice=voice, speed=speed, client=client))
    return models


def realtime_model(settings: Settings) -> RealtimeModel | None:
    """Return the realtime model of the settings, if one replaces the three models."""
    model = settings.agent_realtime_model
    if not model:
        return None
    server = server_of(settings, "realtime")
    azure = bool(server.azure_api_version)
    # Azure's path without an API version; the full URL, as LiveKit completes only some paths. The
    # deployment is passed as the model's name too, for the rows.
    base_url = f"{server.url}/openai/v1" if azure else server.url
    options: dict[str, Any] = {"azure_deployment": model} if azure else {}
    return RealtimeModel(
        model=model,
        base_url=f"{base_url}/realtime",
        api_key=server.key,
        voice=settings.agent_realtime_voice,
        conn_options=APIConnectOptions(timeout=settings.agent_model_timeout_s),
        input_audio_transcription=AudioTranscription(
            model=settings.agent_stt_model, language=LanguageCode(settings.agent_language).language
        ),
        **options,
    )
