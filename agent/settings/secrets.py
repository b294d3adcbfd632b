"""Keeping secrets out of what is printed."""

from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agent.settings.all import Settings
from callrecord.privacy import without_values

MASK = "***"

_SHORTEST = 4
"""What is shorter guards nothing ("key", for a server without keys), and is a part of words."""


def without_secrets(text: str, settings: Settings) -> str:
    """Return the text without the values of secret settings.

    Others quote them: a server the key that it refuses, a library the address it cannot read.
    """
    return without_values(text, secrets_of(settings), MASK)


def secrets_of(settings: Settings) -> set[str]:
    """Return the values of secret settings, and the password of the database by itself."""
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
