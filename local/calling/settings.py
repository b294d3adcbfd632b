"""The LiveKit server and the voice, from the environment or a file of KEY=value lines."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from local.caller.server import Server
from local.caller.voice import Voice
from local.errors import SettingsError


def environment(env_file: Path | None) -> dict[str, str]:
    """Return the environment, with the file's lines over it.

    Raises:
        SettingsError: The file cannot be read.
    """
    values = dict(os.environ)
    if env_file is not None:
        try:
            with env_file.open(encoding="utf-8") as file:
                lines = dotenv_values(stream=file, interpolate=False)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--env-file {env_file} cannot be read: {error}") from error
        values.update({name: value for name, value in lines.items() if value is not None})
    return values


def server(env: Mapping[str, str]) -> Server:
    """Return the LiveKit server that LIVEKIT_* and AGENT_NAME name.

    Raises:
        SettingsError: One of them is missing or not an address.
    """
    names = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    if missing := [name for name in names if not env.get(name)]:
        raise SettingsError(
            f"{' and '.join(missing)} not set: set them, or point --env-file at a file of them"
            " (`python -m local up --env-file FILE` writes one)"
        )
    url, key, secret = (env[name] for name in names)
    if not url.startswith(("ws://", "wss://", "http://", "https://")):
        raise SettingsError(f"LIVEKIT_URL is {url!r}: write it as ws://HOST:PORT or wss://HOST")
    return Server(url, key, secret, agent_name=env.get("AGENT_NAME", ""))


def voice(env: Mapping[str, str]) -> Voice:
    """Return the voice that OPENAI_* name.

    Raises:
        SettingsError: There is no key.
    """
    if not env.get("OPENAI_API_KEY"):
        raise SettingsError(
            "OPENAI_API_KEY not set: texts are spoken and heard through an OpenAI-compatible"
            " server; set it, or use --wav with --no-listen"
        )
    return Voice(base_url=env.get("OPENAI_BASE_URL") or None, api_key=env["OPENAI_API_KEY"])
