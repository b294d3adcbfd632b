"""Why a job was cut from outside: its worker drains, or LiveKit's server has ended it.

LiveKit tells a job of both in the same words. Its server ends a job with its room or its dispatch,
so it is asked whether both are still there.
"""

import asyncio
from typing import Final

from livekit import api
from livekit.agents import JobContext

from callrecord.privacy import private_logger

logger = private_logger("voice.recorder")

ASK_TIMEOUT_S: Final = 2.0


async def cut_reason(ctx: JobContext) -> str:
    """Return the end reason of a call whose job was cut while a caller was there."""
    try:
        return await asyncio.wait_for(_ask(ctx), ASK_TIMEOUT_S)
    except Exception:
        logger.warning("not known why the job was cut", exc_info=True)
        return "drained"


async def _ask(ctx: JobContext) -> str:
    room = ctx.job.room.name
    found = await ctx.api.room.list_rooms(api.ListRoomsRequest(names=[room]))
    if not found.rooms:
        return "room_closed"
    dispatches = await ctx.api.agent_dispatch.list_dispatch(room)
    is_there = any(each.id == ctx.job.dispatch_id for each in dispatches)
    return "drained" if is_there or not ctx.job.dispatch_id else "dispatch_deleted"
