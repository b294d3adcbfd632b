"""Checks the settings that a command requires."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from agent.settings.all import Settings
from agent.settings.servers import kinds_used, server_of
from callrecord.errors import Stop

_LIVEKIT_SCHEMES = ("ws", "wss", "http", "https")


def require_database(settings: Settings) -> str:
    """Return the DSN.

    Raises:
        Stop: It is not set.
    """
    dsn = settings.database_url.get_secret_value()
    if not dsn:
        raise Stop("DATABASE_URL is not set: name the Postgres that gets the calls")
    return dsn


def require_models(settings: Settings) -> None:
    """Check that every model in use has a key.

    Raises:
        Stop: A model has no key.
    """
    if all(server_of(settings, kind).key for kind in kinds_used(settings)):
        return
    # For an Azure endpoint or a separate server, loading has already checked the key.
    raise Stop("OPENAI_API_KEY is not set: a server without keys takes any word for one")


def require_livekit(settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Check that settings or LiveKit's own options name a LiveKit project.

    Raises:
        Stop: A part of the name is missing.
    """
    options = {argument.partition("=")[0] for argument in arguments}
    given = {
        "livekit_url": settings.livekit_url,
        "livekit_api_key": settings.livekit_api_key,
        "livekit_api_secret": settings.livekit_api_secret.get_secret_value(),
    }
    missing = [
        name.upper()
        for name, value in given.items()
        if not value and name.replace("livekit_", "--").replace("_", "-") not in options
    ]
    if missing:
        others = f", nor {', '.join(missing[1:])}" if missing[1:] else ""
        raise Stop(f"{missing[0]} is not set{others}: it names the LiveKit project to work for")
    url = urlsplit(settings.livekit_url)
    if "--url" not in options and (url.scheme not in _LIVEKIT_SCHEMES or not url.netloc):
        raise Stop("LIVEKIT_URL is no such address as wss://name.livekit.cloud or ws://host:7880")
