"""Settings of the models: which ones, where they are, and when they are asked."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from agent.settings.values import NO_SECRET, AzureEndpoint, BaseUrl, Language, Seconds


class Models(BaseSettings):
    """Models."""

    openai_base_url: BaseUrl = Field(
        "https://api.openai.com/v1",
        description="Base URL of the models' server; any server that speaks OpenAI's API",
    )
    agent_language: Language = Field("en", description="Language that callers speak (ISO 639-1)")
    agent_stt_model: str = Field(
        "gpt-4o-mini-transcribe",
        description="Speech-to-text model; with a realtime model, it transcribes the caller for the"
        " rows",
    )
    agent_llm_model: str = Field("gpt-4.1-mini", description="Language model")
    agent_llm_temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Temperature of the language model, 0 to 2; empty: the model's default"
    )
    agent_tts_model: str = Field("gpt-4o-mini-tts", description="Text-to-speech model")
    agent_tts_voice: str = Field("alloy", description="Voice of the text-to-speech model")
    agent_tts_speed: Annotated[float, Field(ge=0.25, le=4)] = Field(
        1.0, description="Speed of that voice, 0.25 to 4"
    )
    agent_model_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        8.0, description="Seconds without an answer after which a model counts as stalled"
    )
    agent_usage_drain_s: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(
        1.0,
        description="Seconds that an interrupted answer may continue unheard, so that the provider"
        " reports its tokens; 0: tokens are estimated",
    )


class OwnServers(BaseSettings):
    """A separate server for one model."""

    agent_stt_base_url: BaseUrl = Field("", description="Speech to text, if not at OPENAI_BASE_URL")
    agent_stt_api_key: SecretStr = Field(
        NO_SECRET,
        description="API key of speech to text, if not OPENAI_API_KEY; a separate server gets no"
        " other key",
    )
    agent_llm_base_url: BaseUrl = Field("", description="Language model, if not at OPENAI_BASE_URL")
    agent_llm_api_key: SecretStr = Field(
        NO_SECRET, description="API key of the language model, if not OPENAI_API_KEY"
    )
    agent_tts_base_url: BaseUrl = Field("", description="Text to speech, if not at OPENAI_BASE_URL")
    agent_tts_api_key: SecretStr = Field(
        NO_SECRET, description="API key of text to speech, if not OPENAI_API_KEY"
    )


class Azure(BaseSettings):
    """Models on Azure; model names are the names of your deployments."""

    azure_openai_endpoint: AzureEndpoint = Field(
        "",
        description="Replaces OPENAI_BASE_URL if set, such as https://name.openai.azure.com",
    )
    azure_openai_api_key: SecretStr = Field(NO_SECRET, description="API key of the Azure resource")
    azure_openai_api_version: str = Field(
        "2025-04-01-preview", description="Version of Azure's API; a realtime model does not use it"
    )


class Realtime(BaseSettings):
    """One realtime model instead of three models."""

    agent_realtime_model: str = Field(
        "", description="Realtime model, such as gpt-realtime; empty: none"
    )
    agent_realtime_voice: str = Field("marin", description="Voice of the realtime model")
    agent_realtime_say: Literal["tts", "model"] = Field(
        "tts",
        description="What speaks fixed texts, such as the greeting: tts (AGENT_TTS_MODEL, word for"
        " word) or model (the realtime model in its own voice, which may change the words)",
    )
    agent_realtime_base_url: BaseUrl = Field(
        "", description="Realtime model, if not at OPENAI_BASE_URL"
    )
    agent_realtime_api_key: SecretStr = Field(
        NO_SECRET, description="API key of the realtime model, if not OPENAI_API_KEY"
    )


class SecondProvider(BaseSettings):
    """A second provider, used when the first one fails or stalls."""

    agent_fallback_base_url: BaseUrl = Field(
        "", description="Base URL of its server, which speaks OpenAI's API"
    )
    agent_fallback_api_key: SecretStr = Field(NO_SECRET, description="API key of that provider")
    agent_fallback_stt_model: str = Field("", description="Its speech-to-text model; empty: none")
    agent_fallback_llm_model: str = Field("", description="Its language model; empty: none")
    agent_fallback_tts_model: str = Field("", description="Its text-to-speech model; empty: none")
    agent_fallback_tts_voice: str = Field("alloy", description="Voice of its text-to-speech model")


class Turns(BaseSettings):
    """Turn-taking, in LiveKit's terms."""

    agent_turn_detection: Literal["model", "vad", "stt", "realtime_llm", "manual"] | None = Field(
        None,
        description="What decides that a turn has ended: model (LiveKit's end-of-turn model), vad,"
        " stt, realtime_llm or manual; empty: model, or realtime_llm with a realtime model",
    )
    agent_endpointing_mode: Literal["fixed", "dynamic"] = Field(
        "fixed",
        description="How the two delays below apply: fixed, or adapted to the call (dynamic)",
    )
    agent_endpointing_min_delay: Seconds | None = Field(
        None, description="Seconds of silence that end a turn; empty: LiveKit's default"
    )
    agent_endpointing_max_delay: Seconds | None = Field(
        None,
        description="Maximum seconds to wait for the rest of a turn; empty: LiveKit's default",
    )
    agent_aec_warmup_s: Seconds = Field(
        0.0,
        description="Seconds at the start of the agent's first speech in which the caller is not"
        " heard; LiveKit's default is 3, as a guard against loudspeaker echo",
    )
    agent_interruption_enabled: bool = Field(
        True, description="Whether callers can interrupt the agent"
    )
    agent_interruption_mode: Literal["vad", "adaptive"] = Field(
        "vad", description="vad: any speech interrupts; adaptive: LiveKit Cloud's model decides"
    )
    agent_interruption_min_duration: Seconds = Field(
        0.5, description="Minimum seconds of speech that interrupt the agent"
    )
    agent_interruption_min_words: Annotated[int, Field(ge=0)] = Field(
        0, description="Minimum words that interrupt the agent; 0: any speech does"
    )
    agent_resume_false_interruption: bool = Field(
        True, description="Resume the reply if no words follow an interruption"
    )
    agent_false_interruption_timeout: Seconds = Field(
        2.0, description="Seconds without words after which an interruption counts as false"
    )
    agent_preemptive_generation: bool = Field(
        True, description="Ask the language model before the end of the turn is certain"
    )
    agent_preemptive_tts: bool = Field(False, description="Also synthesize that early answer")
