"""What several tests in rooms do and check."""

from livekit import api

from local.caller import Caller, Server
from local.demo.rows import Rows


async def greeted(caller: Caller) -> None:
    """Join, and hear the greeting to its end."""
    await caller.join()
    await caller.agent_speaking()
    await caller.agent_quiet()


def livekit(server: Server) -> api.LiveKitAPI:
    """Return a client of LiveKit's server API."""
    return api.LiveKitAPI(server.url, server.api_key, server.api_secret)


async def is_closed(server: Server, room: str) -> bool:
    """Whether LiveKit's server has no such room any more."""
    async with livekit(server) as client:
        found = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
    return not found.rooms


def check_end(
    rows: Rows, status: str, end_reason: str, at: float, *, within_s: float = 5.0
) -> None:
    """Check how and when a call ended, and that its legs have ended with it."""
    assert (rows.call["status"], rows.call["end_reason"]) == (status, end_reason)
    ended_at = rows.call["ended_at"].timestamp()
    assert at - 0.1 <= ended_at < at + within_s, "when it ended, not when it was cleaned up"
    for leg in rows.participants:
        assert leg["left_at"] is not None
        assert leg["left_at"].timestamp() <= ended_at + 5
