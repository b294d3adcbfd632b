"""Keeps secrets out of what is printed."""

from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agent.settings.all import Settings
from callrecord.privacy import without_values

MASK = "***"

_SHORTEST = 4
"""A shorter value is not a secret ("key", for a server without keys), and may be part of words."""


def without_secrets(text: str, settings: Settings) -> str:
    """Return the text without the values of secret settings.

    Errors may quote them: a server quotes a refused key, a library an address that it cannot parse.
    """
    return without_values(text, secrets_of(settings), MASK)


def secrets_of(settings: Settings) -> set[str]:
    """Return the values of secret settings, and separately the password of the database."""
    found = set()
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
    password = _password(settings.database_url.get_secret_value())
    found |= {password, unquote(password)}
    return {secret for secret in found if len(secret) >= _SHORTEST}


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""
