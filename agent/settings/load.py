"""Reading the settings; all that is wrong is told at once."""

import os
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values
from pydantic import ValidationError

from agent.settings.all import Settings
from agent.settings.checks import contradictions
from callrecord.db.errors import Stop


def load(env_file: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        env_file: Read instead of `.env` in the working directory.

    Raises:
        Stop: Names are unknown or values bad; a line for each that says which.
    """
    path = env_file or Path(".env")
    wrong = list(_unknown(path))
    try:
        settings = Settings(_env_file=path)  # type: ignore[call-arg]
    except ValidationError as error:
        raise _stop([*wrong, *_bad_values(error)]) from None
    wrong += contradictions(settings)
    if wrong:
        raise _stop(wrong)
    return settings


def _bad_values(error: ValidationError) -> Iterator[str]:
    # Without what was given: it may be a key in the wrong place.
    for each in error.errors(include_url=False, include_input=False):
        message = each["msg"].removeprefix("Value error, ")
        yield f"{str(each['loc'][0]).upper()}: {message}"


def _stop(wrong: list[str]) -> Stop:
    if len(wrong) == 1:
        return Stop(wrong[0])
    return Stop("\n  ".join((f"{len(wrong)} settings are wrong:", *wrong)))


def _unknown(env_file: Path) -> Iterator[str]:
    known = set(Settings.model_fields)
    names = set(os.environ)
    if env_file.exists():
        names |= set(dotenv_values(env_file))
    for name in sorted(names):
        if name.upper().startswith("AGENT_") and name.lower() not in known:
            yield f"{name} is no setting of this worker: see .env.example for its names"
