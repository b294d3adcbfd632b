"""Which rooms LiveKit has: a call whose room is not there is served by nobody."""

import aiohttp
from livekit import api

from callrecord.db.errors import Transient

TIMEOUT_S = 10.0


async def rooms_there(names: list[str]) -> set[str]:
    """Return those of these rooms that the project has, by LiveKit's own environment names.

    Raises:
        Transient: It can't be asked.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with api.LiveKitAPI(timeout=timeout) as client:
            found = await client.room.list_rooms(api.ListRoomsRequest(names=names))
    except api.TwirpError as error:
        raise Transient(f"LiveKit: {error.code}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Transient(f"LiveKit: {type(error).__name__}") from error
    return {room.name for room in found.rooms}
