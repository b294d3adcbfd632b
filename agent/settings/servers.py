"""Which server and which key each model uses."""

from dataclasses import dataclass, field
from typing import Literal

from agent.settings.all import Settings

Kind = Literal["stt", "llm", "tts", "realtime"]

SECOND_URL_NAME = "AGENT_FALLBACK_BASE_URL"


@dataclass(frozen=True)
class Server:
    """A server of models.

    Attributes:
        url: Base URL of OpenAI's API, or an Azure endpoint.
        key: Its key; empty if none was set.
        azure_api_version: Set only for Azure.
        url_name: The setting of its URL, for messages.
        key_name: The setting of its key, for messages.
    """

    url: str
    key: str = field(repr=False)
    azure_api_version: str = ""
    url_name: str = field(default="", compare=False)
    key_name: str = field(default="", compare=False)


def server_of(settings: Settings, kind: Kind) -> Server:
    """Return the first server of a kind of model: a separate one, Azure, or OPENAI_BASE_URL."""
    own_url: str = getattr(settings, f"agent_{kind}_base_url")
    own_key: str = getattr(settings, f"agent_{kind}_api_key").get_secret_value()
    own_key_name, key_name = f"AGENT_{kind.upper()}_API_KEY", "OPENAI_API_KEY"
    url, key, version = settings.openai_base_url, settings.openai_api_key.get_secret_value(), ""
    url_name = "OPENAI_BASE_URL"
    if own_url:
        url, url_name = own_url, f"AGENT_{kind.upper()}_BASE_URL"
    elif settings.azure_openai_endpoint:
        url, url_name = settings.azure_openai_endpoint, "AZURE_OPENAI_ENDPOINT"
        key, key_name = settings.azure_openai_api_key.get_secret_value(), "AZURE_OPENAI_API_KEY"
        version = settings.azure_openai_api_version
    if own_url or own_key:
        key, key_name = own_key, own_key_name
    return Server(url, key, version, url_name, key_name)


def second_server(settings: Settings) -> Server:
    """Return the second provider."""
    return Server(
        settings.agent_fallback_base_url,
        settings.agent_fallback_api_key.get_secret_value(),
        url_name=SECOND_URL_NAME,
        key_name="AGENT_FALLBACK_API_KEY",
    )


def kinds_used(settings: Settings) -> tuple[Kind, ...]:
    """Return the kinds of models that a call uses."""
    if not settings.agent_realtime_model:
        return ("stt", "llm", "tts")
    return ("realtime", "tts") if settings.agent_realtime_say == "tts" else ("realtime",)
