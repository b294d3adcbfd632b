"""Settings of the worker itself: whom it serves, how calls end, what it says by itself."""

from pathlib import Path
from typing import Annotated, Literal

from livekit.agents.utils.hw import get_cpu_monitor
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from agent.settings.values import NO_SECRET, PostgresUrl, Seconds


class Services(BaseSettings):
    """What everybody fills in."""

    livekit_url: str = Field("", description="LiveKit server, such as wss://name.livekit.cloud")
    livekit_api_key: str = Field("", description="Key of the LiveKit project")
    livekit_api_secret: SecretStr = Field(NO_SECRET, description="Secret of that key")
    database_url: PostgresUrl = Field(
        NO_SECRET, description="Postgres that gets the calls: postgresql://user:pw@host/name"
    )
    openai_api_key: SecretStr = Field(
        NO_SECRET, description="Key of the models; any word for a server without keys"
    )


class Calls(BaseSettings):
    """Calls: who gets an agent, and when a call ends."""

    agent_name: str = Field(
        "", description="Empty: every new room gets an agent. Set: only rooms that ask for it"
    )
    agent_no_caller_timeout_s: Seconds = Field(
        60.0, description="Seconds to wait for the first caller"
    )
    agent_rejoin_grace_s: Seconds = Field(
        10.0, description="Seconds without any caller after which a call has ended"
    )
    agent_mask_dtmf: bool = Field(
        False, description="Record that callers press keys, and not which ones"
    )
    agent_silence_timeout_s: Seconds = Field(
        30.0, description="Seconds of silence after which the agent asks; 0: never"
    )
    agent_max_duration_s: Seconds = Field(
        3600.0, description="Longest duration of a call in seconds; 0: no limit"
    )
    agent_max_duration_warning_s: Seconds = Field(
        60.0, description="Seconds before that end at which the caller is told"
    )


class Messages(BaseSettings):
    """What the worker says by itself (the persona's words are in agent/assistant.py)."""

    agent_fallback_message: str = Field(
        "I am sorry, I did not get that. Could you say it again, please?",
        description="Said when a model fails or stalls; the caller may try again",
    )
    agent_error_message: str = Field(
        "I am sorry, there is a technical problem. Please call again later.",
        description="Said before a call is ended because its models do not answer",
    )
    agent_silence_message: str = Field(
        "Are you still there?",
        description="Asked after the silence; as long again, and the call ends",
    )
    agent_max_duration_message: str = Field(
        "We have to come to an end soon.", description="Said before the longest duration is over"
    )
    agent_goodbye_message: str = Field(
        "Thank you for your call. Goodbye!",
        description="Said before the worker ends a call for its silence or its duration",
    )
    agent_speech_cache_dir: Path = Field(
        Path("var/speech"), description="Directory of messages that were spoken once already"
    )


class Worker(BaseSettings):
    """The worker's process."""

    agent_max_calls: Annotated[int, Field(ge=1)] = Field(
        default_factory=lambda: max(1, int(4 * get_cpu_monitor().cpu_count())),
        description="Calls at once; default: four for each core that the container may use",
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
    agent_heartbeat_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        5.0, description="Seconds between two heartbeats of the worker, written to Postgres"
    )
    agent_worker_lost_s: Seconds = Field(
        60.0, description="Seconds without one after which others end its calls (`worker_lost`)"
    )
    agent_not_served_min: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        15.0,
        description="Minutes that a front end's row waits for a worker before it ends as"
        " `not_served`, if its room is not there; 0: never",
    )
    agent_http_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8081, description="Port of the health check; 0 takes a free one, as `dev` does by default"
    )
    agent_log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console under dev and console, JSON under start"
    )
