"""All settings, from the environment and `.env`; documented in `.env.example`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from livekit.agents.utils.hw import get_cpu_monitor
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from callrecord.db.errors import Stop

_LIVEKIT_SCHEMES = ("ws", "wss", "http", "https")

Seconds = Annotated[float, Field(ge=0)]


class Settings(BaseSettings):
    """Settings of the worker. Field names are the environment's names in lower case.

    The environment wins over `.env`; an empty value counts as not set. Secrets are masked
    wherever the object is printed.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    livekit_url: str = Field("", description="LiveKit server, such as wss://name.livekit.cloud")
    livekit_api_key: str = Field("", description="Key of the LiveKit project")
    livekit_api_secret: SecretStr = Field(SecretStr(""), description="Secret of that key")
    database_url: SecretStr = Field(
        SecretStr(""), description="Postgres that gets the calls: postgresql://user:pw@host/name"
    )
    openai_api_key: SecretStr = Field(SecretStr(""), description="Key for speech and language")
    openai_base_url: str = Field(
        "https://api.openai.com/v1", description="Any server that speaks OpenAI's API"
    )

    agent_name: str = Field(
        "", description="Empty: every new room gets an agent. Set: only rooms that ask for it"
    )
    azure_openai_endpoint: str = Field(
        "",
        description="Models on Azure (https://name.openai.azure.com); models are deployments",
    )
    azure_openai_api_key: SecretStr = Field(SecretStr(""), description="Key of that resource")
    openai_api_version: str = Field("2025-04-01-preview", description="Version of Azure's API")

    agent_stt_model: str = Field("gpt-4o-mini-transcribe", description="Speech to text")
    agent_stt_base_url: str = Field("", description="Its server, if not OPENAI_BASE_URL")
    agent_stt_api_key: SecretStr = Field(SecretStr(""), description="Its key, if another")
    agent_llm_model: str = Field("gpt-4.1-mini", description="Language model")
    agent_llm_base_url: str = Field("", description="Its server, if not OPENAI_BASE_URL")
    agent_llm_api_key: SecretStr = Field(SecretStr(""), description="Its key, if another")
    agent_llm_temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Temperature of the language model, 0 to 2; empty: the model's own"
    )
    agent_tts_model: str = Field("gpt-4o-mini-tts", description="Text to speech")
    agent_tts_base_url: str = Field("", description="Its server, if not OPENAI_BASE_URL")
    agent_tts_api_key: SecretStr = Field(SecretStr(""), description="Its key, if another")
    agent_tts_voice: str = Field("alloy", description="Voice of the text to speech model")
    agent_tts_speed: Annotated[float, Field(ge=0.25, le=4)] = Field(
        1.0, description="Speed of that voice, 0.25 to 4"
    )
    agent_language: str = Field("en", description="Language of the callers (ISO 639-1)")
    agent_realtime_model: str = Field(
        "", description="Set: this realtime model in place of the three, such as gpt-realtime"
    )
    agent_realtime_voice: str = Field("marin", description="Voice of the realtime model")
    agent_model_timeout_s: Annotated[float, Field(gt=0)] = Field(
        8.0, description="Seconds without an answer after which a model counts as stalled"
    )

    agent_fallback_base_url: str = Field(
        "", description="A second provider (OpenAI's API), asked when the first one fails"
    )
    agent_fallback_api_key: SecretStr = Field(SecretStr(""), description="Key of that provider")
    agent_fallback_stt_model: str = Field("", description="Its speech to text; empty: none")
    agent_fallback_llm_model: str = Field("", description="Its language model; empty: none")
    agent_fallback_tts_model: str = Field("", description="Its text to speech; empty: none")
    agent_fallback_tts_voice: str = Field("alloy", description="Voice of that model")

    agent_turn_detection: Literal["model", "vad", "stt", "realtime_llm", "manual"] = Field(
        "model", description="When a turn ends: end-of-turn model, vad, stt, realtime_llm or manual"
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

    agent_fallback_message: str = Field(
        "I am sorry, I did not get that. Could you say it again, please?",
        description="Said when a model fails or stalls; the caller may try again",
    )
    agent_error_message: str = Field(
        "I am sorry, there is a technical problem. Please call again later.",
        description="Said before a call is ended because its models do not answer",
    )
    agent_silence_timeout_s: Seconds = Field(
        30.0, description="Seconds of silence after which the agent asks; 0: never"
    )
    agent_silence_message: str = Field(
        "Are you still there?", description="What it asks then; as long again, and the call ends"
    )
    agent_max_duration_s: Seconds = Field(
        3600.0, description="Longest duration of a call in seconds; 0: no limit"
    )
    agent_max_duration_warning_s: Seconds = Field(
        60.0, description="Seconds before that end at which the caller is told"
    )
    agent_max_duration_message: str = Field(
        "We have to come to an end soon.", description="What the caller is told then"
    )
    agent_goodbye_message: str = Field(
        "Thank you for your call. Goodbye!",
        description="Said before the worker ends a call for its silence or its duration",
    )
    agent_speech_cache_dir: Path = Field(
        Path("var/speech"), description="Directory of messages that were spoken once already"
    )

    agent_max_calls: Annotated[int, Field(ge=1)] = Field(
        default_factory=lambda: max(1, int(4 * get_cpu_monitor().cpu_count())),
        description="Calls at once; default: four for each core that the container may use",
    )
    agent_rejoin_grace_s: Seconds = Field(
        10.0, description="Seconds without any caller after which a call has ended"
    )
    agent_no_caller_timeout_s: Seconds = Field(
        60.0, description="Seconds to wait for the first caller"
    )
    agent_drain_timeout_s: Annotated[int, Field(ge=1)] = Field(
        1800, description="Seconds that running calls may go on after SIGTERM"
    )
    agent_outbox_dir: Path = Field(
        Path("var/outbox"), description="Local directory of events on their way to Postgres"
    )
    agent_outbox_min_free_mb: Annotated[int, Field(ge=0)] = Field(
        200, description="Free megabytes on its disk below which no new calls are taken"
    )
    agent_ship_timeout_s: Seconds = Field(
        20.0, description="Seconds to bring the last events to Postgres at the worker's end"
    )
    agent_http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8081, description="Port of the health check; 0 takes a free one"
    )
    agent_log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console under dev and console, JSON under start"
    )


def load(env_file: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        env_file: Read instead of `.env` in the working directory.

    Raises:
        Stop: A name is unknown or a value bad; one line that says which.
    """
    path = env_file or Path(".env")
    _refuse_unknown(path)
    try:
        return Settings(_env_file=path)  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]).upper()
        raise Stop(f"{name}: {first['msg']}") from None


def require_database(settings: Settings) -> str:
    """Return the DSN.

    Raises:
        Stop: There is none.
    """
    dsn = settings.database_url.get_secret_value()
    if not dsn:
        raise Stop("DATABASE_URL is not set: name the Postgres that gets the calls")
    return dsn


def require_models(settings: Settings) -> None:
    """Check that the models can be asked at all.

    Raises:
        Stop: There is no key.
    """
    if not settings.openai_api_key.get_secret_value():
        raise Stop("OPENAI_API_KEY is not set: a server without keys takes any word for one")


def require_livekit(settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Check that a LiveKit project is named, by settings or by LiveKit's own options.

    Raises:
        Stop: A part of it is missing.
    """
    options = {argument.partition("=")[0] for argument in arguments}
    for name in ("livekit_url", "livekit_api_key", "livekit_api_secret"):
        option = name.replace("livekit_", "--").replace("_", "-")
        if option not in options and not getattr(settings, name):
            raise Stop(f"{name.upper()} is not set: it names the LiveKit project to work for")
    url = urlsplit(settings.livekit_url)
    if "--url" not in options and (url.scheme not in _LIVEKIT_SCHEMES or not url.netloc):
        raise Stop("LIVEKIT_URL is no such address as wss://name.livekit.cloud or ws://host:7880")


def _refuse_unknown(env_file: Path) -> None:
    known = set(Settings.model_fields)
    names = set(os.environ)
    if env_file.exists():
        names |= set(dotenv_values(env_file))
    for name in sorted(names):
        if name.upper().startswith("AGENT_") and name.lower() not in known:
            raise Stop(f"{name} is no setting of this worker: see .env.example for its names")
