"""Which server a model is asked at, and with which key."""

from dataclasses import dataclass, field
from typing import Literal

from agent.settings.all import Settings

Kind = Literal["stt", "llm", "tts", "realtime"]


@dataclass(frozen=True)
class Server:
    """A server of models.

    Attributes:
        url: Base URL of OpenAI's API, or an endpoint of Azure.
        key: Empty if none was set.
        azure_api_version: Set for Azure alone.
    """

    url: str
    key: str = field(repr=False)
    azure_api_version: str = ""


def server_of(settings: Settings, kind: Kind) -> Server:
    """Return the first server of a kind of model: its own one, Azure, or OPENAI_BASE_URL."""
    own_url: str = getattr(settings, f"agent_{kind}_base_url")
    own_key: str = getattr(settings, f"agent_{kind}_api_key").get_secret_value()
    if own_url:
        return Server(own_url, own_key)
    if settings.azure_openai_endpoint:
        return Server(
            settings.azure_openai_endpoint,
            own_key or settings.azure_openai_api_key.get_secret_value(),
            settings.azure_openai_api_version,
        )
    return Server(settings.openai_base_url, own_key or settings.openai_api_key.get_secret_value())


def second_server(settings: Settings) -> Server:
    """Return the second provider."""
    return Server(
        settings.agent_fallback_base_url, settings.agent_fallback_api_key.get_secret_value()
    )


def kinds_used(settings: Settings) -> tuple[Kind, ...]:
    """Return the kinds of models that a call asks."""
    if not settings.agent_realtime_model:
        return ("stt", "llm", "tts")
    return ("realtime", "tts") if settings.agent_realtime_say == "tts" else ("realtime",)
