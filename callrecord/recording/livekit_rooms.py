"""LiveKit's rooms: which ones exist, and who is in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from livekit import api

from callrecord.errors import Transient

TIMEOUT_S = 10.0


class Rooms:
    """Queries the LiveKit project that the LIVEKIT_* environment variables name."""

    async def there(self, names: list[str]) -> set[str]:
        """Return which of these rooms exist.

        Raises:
            Transient: LiveKit can't be reached or answers with an error.
        """
        async with _client() as client:
            found = await client.room.list_rooms(api.ListRoomsRequest(names=names))
        return {room.name for room in found.rooms}

    async def inside(self, name: str) -> set[str]:
        """Return the sids of the participants of a room; an empty set if there is no such room.

        Raises:
            Transient: LiveKit can't be reached or answers with an error.
        """
        async with _client() as client:
            try:
                asked = api.ListParticipantsRequest(room=name)
                found = await client.room.list_participants(asked)
            except api.TwirpError as error:
                if error.code == api.TwirpErrorCode.NOT_FOUND:
                    return set()
                raise
        return {each.sid for each in found.participants}


@asynccontextmanager
async def _client() -> AsyncIterator[api.LiveKitAPI]:
    try:
        async with api.LiveKitAPI(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as client:
            yield client
    except api.TwirpError as error:
        raise Transient(f"LiveKit: {error.code}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Transient(f"LiveKit: {type(error).__name__}") from error
