"""Checks that the worker's LiveKit project can be reached and accepts the key.

LiveKit's worker would try a refused key sixteen times, and report only 401 each time.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
from livekit import api

from agent.settings import Settings
from callrecord.errors import Stop, Transient

_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True)
class Project:
    """The address and key of a LiveKit project; the secret is not in the repr."""

    url: str
    api_key: str
    api_secret: str = field(repr=False)


def project_of(settings: Settings, arguments: list[str]) -> Project:
    """Return the project that the settings name, unless LiveKit's own options replace them."""
    return Project(
        _option(arguments, "--url") or settings.livekit_url,
        _option(arguments, "--api-key") or settings.livekit_api_key,
        _option(arguments, "--api-secret") or settings.livekit_api_secret.get_secret_value(),
    )


async def count_rooms(project: Project, *, timeout_s: float) -> int:
    """Ask the project for its rooms, and return how many there are.

    Raises:
        Stop: The project refuses the key.
        Transient: The project can't be reached, or answers with another error.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with api.LiveKitAPI(
            project.url, project.api_key, project.api_secret, timeout=timeout
        ) as client:
            found = await client.room.list_rooms(api.ListRoomsRequest())
    except api.TwirpError as error:
        if error.status in _REFUSED:
            names = "LIVEKIT_API_KEY or LIVEKIT_API_SECRET"
            raise Stop(f"{names} is refused by LIVEKIT_URL={project.url}") from error
        raise Transient(f"LIVEKIT_URL={project.url}: {error.code}, {error.message}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Transient(f"LIVEKIT_URL={project.url}: {str(error) or 'no answer'}") from error
    return len(found.rooms)


def _option(arguments: list[str], name: str) -> str:
    for place, argument in enumerate(arguments):
        option, given, value = argument.partition("=")
        if option == name:
            return value if given else "".join(arguments[place + 1 : place + 2])
    return ""
