"""Reads the settings and reports all errors at once."""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic import ValidationError

from agent.settings.all import Settings
from agent.settings.checks import contradictions
from agent.settings.foreign import foreign_names
from callrecord.errors import Stop
from callrecord.privacy import private_logger

logger = private_logger("voice.settings")

_NEAR: Final = 0.8
"""The similarity, by difflib, from which on a name counts as a typo of another."""


def load(env_file: Path | None = None) -> Settings:
    """Read the settings.

    Args:
        env_file: Read instead of `.env` in the working directory.

    Raises:
        Stop: Names are unknown or values are not valid; one line for each.
    """
    path = env_file or Path(".env")
    in_file = dotenv_values(path) if path.exists() else {}
    foreign = foreign_names(os.environ, map(str.upper, Settings.model_fields))
    wrong = list(_unknown({*os.environ, *in_file} - foreign))
    try:
        settings = Settings(_env_file=path, **_instead(foreign, in_file))  # type: ignore[call-arg]
    except ValidationError as error:
        raise _stop([*wrong, *_bad_values(error)]) from None
    wrong += contradictions(settings)
    if wrong:
        raise _stop(wrong)
    for name in sorted(foreign):
        logger.warning("variable of the platform ignored", extra={"variable": name})
    return settings


def _bad_values(error: ValidationError) -> Iterator[str]:
    # Do not quote the value: it may be a key in the wrong place.
    for each in error.errors(include_url=False, include_input=False):
        message = each["msg"].removeprefix("Value error, ")
        yield f"{str(each['loc'][0]).upper()}: {message}"


def _stop(wrong: list[str]) -> Stop:
    if len(wrong) == 1:
        return Stop(wrong[0])
    return Stop("\n  ".join((f"{len(wrong)} settings are wrong:", *wrong)))


def _instead(foreign: set[str], in_file: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the settings that a platform's variables hide, from `.env` or by default."""
    hidden = {name.lower(): name for name in foreign if name.lower() in Settings.model_fields}
    return {
        field: in_file.get(name) or Settings.model_fields[field].default
        for field, name in hidden.items()
    }


def _unknown(names: set[str]) -> Iterator[str]:
    known = {name.upper() for name in Settings.model_fields}
    for name in sorted(names):
        if name.upper().startswith("AGENT_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_NEAR)
            meant = f"did you mean {near[0]}?" if near else "see .env.example for the names"
            yield f"{name} is not a setting of this worker: {meant}"
