"""All settings in one object."""

from pydantic_settings import SettingsConfigDict

from agent.settings.calls import Calls, Messages, Services, Worker
from agent.settings.models import Azure, Models, OwnServers, Realtime, SecondProvider, Turns


class Settings(
    Services,
    Models,
    Turns,
    Calls,
    Messages,
    Worker,
    OwnServers,
    Azure,
    Realtime,
    SecondProvider,
):
    """Settings of the worker. Field names are the environment's names in lower case.

    The environment wins over `.env`; an empty value counts as not set. Secrets are masked
    wherever the object is printed.
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )


SECTIONS = Settings.__bases__
"""The sections, in reading order; the first line of a docstring is its heading."""
