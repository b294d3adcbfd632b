"""Why a job was cut from outside: its worker drains, or LiveKit's server has ended it.

LiveKit tells a job of both in the same words. The worker leaves a note on the disk when it begins
to drain; without that note it was the server, which ends a job with its room or its dispatch.
"""

import asyncio
from pathlib import Path
from typing import Final

from livekit import api
from livekit.agents import JobContext

from callrecord.db.outbox_home import DRAINING
from callrecord.db.privacy import private_logger

logger = private_logger("voice.recorder")

ASK_TIMEOUT_S: Final = 2.0


async def cut_reason(ctx: JobContext, directory: Path | None) -> str:
    """Return the end reason of a call whose job was cut while a caller was there.

    Args:
        ctx: The job's.
        directory: The worker's subdirectory of the outbox; None if the worker leaves no notes.
    """
    if directory is None or await asyncio.to_thread((directory / DRAINING).exists):
        return "drained"
    name = ctx.job.room.name
    try:
        request = ctx.api.room.list_rooms(api.ListRoomsRequest(names=[name]))
        found = await asyncio.wait_for(request, ASK_TIMEOUT_S)
    except Exception:
        logger.warning("not known why the job was cut", exc_info=True)
        return "drained"
    return "dispatch_deleted" if found.rooms else "room_closed"
