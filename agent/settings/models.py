"""Settings of the models: which ones, where they are, and when they are asked."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from agent.settings.values import NO_SECRET, AzureEndpoint, BaseUrl, Language, Seconds


class Models(BaseSettings):
    """Models."""

    openai_base_url: BaseUrl = Field(
        "https://api.openai.com/v1", description="Any server that speaks OpenAI's API"
    )
    agent_language: Language = Field("en", description="Language of the callers (ISO 639-1)")
    agent_stt_model: str = Field(
        "gpt-4o-mini-transcribe",
        description="Speech to text; with a realtime model, what writes down the caller's words",
    )
    agent_llm_model: str = Field("gpt-4.1-mini", description="Language model")
    agent_llm_temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Temperature of the language model, 0 to 2; empty: the model's own"
    )
    agent_tts_model: str = Field("gpt-4o-mini-tts", description="Text to speech")
    agent_tts_voice: str = Field("alloy", description="Voice of the text to speech model")
    agent_tts_speed: Annotated[float, Field(ge=0.25, le=4)] = Field(
        1.0, description="Speed of that voice, 0.25 to 4"
    )
    agent_model_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        8.0, description="Seconds without an answer after which a model counts as stalled"
    )
    agent_usage_drain_s: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(
        1.0,
        description="Seconds an answer that was cut may go on unheard, to tell its tokens; 0: they"
        " are estimated",
    )


class OwnServers(BaseSettings):
    """A server of its own for one model (the three above are asked in one place otherwise)."""

    agent_stt_base_url: BaseUrl = Field("", description="Speech to text, if not OPENAI_BASE_URL")
    agent_stt_api_key: SecretStr = Field(
        NO_SECRET, description="Its key, if another; a server of its own gets no other key"
    )
    agent_llm_base_url: BaseUrl = Field("", description="Language model, if not OPENAI_BASE_URL")
    agent_llm_api_key: SecretStr = Field(NO_SECRET, description="Its key, if another")
    agent_tts_base_url: BaseUrl = Field("", description="Text to speech, if not OPENAI_BASE_URL")
    agent_tts_api_key: SecretStr = Field(NO_SECRET, description="Its key, if another")


class Azure(BaseSettings):
    """Models on Azure; the names of the models are those of your deployments."""

    azure_openai_endpoint: AzureEndpoint = Field(
        "", description="Set: in place of OPENAI_BASE_URL, such as https://name.openai.azure.com"
    )
    azure_openai_api_key: SecretStr = Field(NO_SECRET, description="Key of that resource")
    azure_openai_api_version: str = Field(
        "2025-04-01-preview", description="Version of Azure's API (a realtime model needs none)"
    )


class Realtime(BaseSettings):
    """One realtime model in place of the three."""

    agent_realtime_model: str = Field("", description="Set: this model, such as gpt-realtime")
    agent_realtime_voice: str = Field("marin", description="Voice of the realtime model")
    agent_realtime_say: Literal["tts", "model"] = Field(
        "tts",
        description="Who says fixed words, such as the greeting: tts (AGENT_TTS_MODEL, word for"
        " word) or model (the realtime model, in its own voice and at its discretion)",
    )
    agent_realtime_base_url: BaseUrl = Field("", description="Its server, if not OPENAI_BASE_URL")
    agent_realtime_api_key: SecretStr = Field(NO_SECRET, description="Its key, if another")


class SecondProvider(BaseSettings):
    """A second provider, asked when the first one fails or stalls."""

    agent_fallback_base_url: BaseUrl = Field("", description="Its server, with OpenAI's API")
    agent_fallback_api_key: SecretStr = Field(NO_SECRET, description="Key of that provider")
    agent_fallback_stt_model: str = Field("", description="Its speech to text; empty: none")
    agent_fallback_llm_model: str = Field("", description="Its language model; empty: none")
    agent_fallback_tts_model: str = Field("", description="Its text to speech; empty: none")
    agent_fallback_tts_voice: str = Field("alloy", description="Voice of that model")


class Turns(BaseSettings):
    """Turn-taking, in LiveKit's words."""

    agent_turn_detection: Literal["model", "vad", "stt", "realtime_llm", "manual"] | None = Field(
        None,
        description="When a turn ends: model (LiveKit's end-of-turn model), vad, stt, realtime_llm"
        " or manual; empty: model, and with a realtime model realtime_llm",
    )
    agent_endpointing_mode: Literal["fixed", "dynamic"] = Field(
        "fixed", description="Delays of a turn's end: fixed, or learnt from the call (dynamic)"
    )
    agent_endpointing_min_delay: Seconds | None = Field(
        None, description="Seconds of silence that end a turn; empty: LiveKit's default"
    )
    agent_endpointing_max_delay: Seconds | None = Field(
        None, description="Longest wait for more of a turn, in seconds; empty: LiveKit's default"
    )
    agent_aec_warmup_s: Seconds = Field(
        0.0,
        description="Seconds at the agent's first words in which the caller is not heard; LiveKit's"
        " own default is 3, against the echo of loudspeakers",
    )
    agent_interruption_enabled: bool = Field(
        True, description="Whether callers may interrupt the agent"
    )
    agent_interruption_mode: Literal["vad", "adaptive"] = Field(
        "vad", description="vad: any speech interrupts; adaptive: LiveKit Cloud's model decides"
    )
    agent_interruption_min_duration: Seconds = Field(
        0.5, description="Seconds of speech that interrupt"
    )
    agent_interruption_min_words: Annotated[int, Field(ge=0)] = Field(
        0, description="Words that interrupt; 0: speech alone does"
    )
    agent_resume_false_interruption: bool = Field(
        True, description="Go on speaking if nothing was said after an interruption"
    )
    agent_false_interruption_timeout: Seconds = Field(
        2.0, description="Seconds without a word after which an interruption was none"
    )
    agent_preemptive_generation: bool = Field(
        True, description="Ask the language model before the turn is surely over"
    )
    agent_preemptive_tts: bool = Field(False, description="Synthesize that answer too")
