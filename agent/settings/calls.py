"""Settings of the worker itself: which rooms it serves, how calls end, its own messages."""

from pathlib import Path
from typing import Annotated, Literal

from livekit.agents.utils.hw import get_cpu_monitor
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from agent.settings.values import NO_SECRET, PostgresUrl, Seconds


class Services(BaseSettings):
    """Required."""

    livekit_url: str = Field(
        "", description="URL of the LiveKit server, such as wss://name.livekit.cloud"
    )
    livekit_api_key: str = Field("", description="API key of the LiveKit project")
    livekit_api_secret: SecretStr = Field(
        NO_SECRET, description="API secret of the LiveKit project"
    )
    database_url: PostgresUrl = Field(
        NO_SECRET, description="Postgres that stores the calls: postgresql://user:pw@host/name"
    )
    openai_api_key: SecretStr = Field(
        NO_SECRET, description="API key of the models; any word if the server needs no key"
    )


class Calls(BaseSettings):
    """Calls: which rooms get an agent, and when a call ends."""

    agent_name: str = Field(
        "",
        description="Empty: every new room gets an agent. Set: only rooms that request this agent"
        " by name",
    )
    agent_no_caller_timeout_s: Seconds = Field(
        60.0, description="Seconds to wait for the first caller"
    )
    agent_rejoin_grace_s: Seconds = Field(
        10.0, description="Seconds to wait for a caller who left, before the call ends"
    )
    agent_mask_dtmf: bool = Field(
        False, description="Record that a caller pressed keys, but not which ones"
    )
    agent_silence_timeout_s: Seconds = Field(
        30.0,
        description="Seconds of silence before the agent asks whether the caller is still there;"
        " 0: never",
    )
    agent_max_duration_s: Seconds = Field(
        3600.0, description="Maximum duration of a call in seconds; 0: no limit"
    )
    agent_max_duration_warning_s: Seconds = Field(
        60.0,
        description="Seconds before the maximum duration at which the caller is warned",
    )


class Messages(BaseSettings):
    """Messages that the worker speaks (the agent's own words are in agent/assistant.py)."""

    agent_fallback_message: str = Field(
        "I am sorry, I did not get that. Could you say it again, please?",
        description="Spoken when a model fails or stalls; the caller can try again",
    )
    agent_error_message: str = Field(
        "I am sorry, there is a technical problem. Please call again later.",
        description="Spoken before the call ends because the models do not answer",
    )
    agent_silence_message: str = Field(
        "Are you still there?",
        description="Spoken after AGENT_SILENCE_TIMEOUT_S; the call ends after the same time again",
    )
    agent_max_duration_message: str = Field(
        "We have to come to an end soon.",
        description="Spoken AGENT_MAX_DURATION_WARNING_S before the maximum duration",
    )
    agent_goodbye_message: str = Field(
        "Thank you for your call. Goodbye!",
        description="Spoken before the worker ends a call because of silence or its duration",
    )
    agent_speech_cache_dir: Path = Field(
        Path("var/speech"),
        description="Directory of the messages that are already rendered as speech",
    )


class Worker(BaseSettings):
    """The worker's process."""

    agent_max_calls: Annotated[int, Field(ge=1)] = Field(
        default_factory=lambda: max(1, int(4 * get_cpu_monitor().cpu_count())),
        description="Maximum number of concurrent calls; default: four per core of the container",
    )
    agent_drain_timeout_s: Annotated[int, Field(ge=1)] = Field(
        1800, description="Seconds that running calls may continue after SIGTERM"
    )
    agent_outbox_dir: Path = Field(
        Path("var/outbox"),
        description="Local directory that holds events until Postgres has them",
    )
    agent_outbox_min_free_mb: Annotated[int, Field(ge=0)] = Field(
        200,
        description="Free megabytes on that disk below which the worker takes no new calls",
    )
    agent_ship_timeout_s: Seconds = Field(
        20.0, description="Seconds that a stopping worker may take to ship the last events"
    )
    agent_heartbeat_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        5.0, description="Seconds between two heartbeats that the worker writes to Postgres"
    )
    agent_worker_lost_s: Seconds = Field(
        60.0,
        description="Seconds without a heartbeat after which other workers end its calls"
        " (`worker_lost`)",
    )
    agent_not_served_min: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        15.0,
        description="Minutes before a front end's row that no worker took ends as `not_served`, if"
        " its room does not exist; 0: never",
    )
    agent_http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8081, description="Port of the health check; 0: a free port, which is the default of `dev`"
    )
    agent_log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console under `dev` and `console`, JSON under `start`"
    )
