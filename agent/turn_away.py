"""A call that can't be recorded is not held: callers are told so, and the room is closed."""

import asyncio

import structlog
from livekit.agents import JobContext

from agent.announce import announce, close_room
from agent.phrases import Phrases
from agent.settings import Settings
from callrecord.recording.job_notes import not_recorded
from callrecord.recording.room.attendance import CRASHED

logger = structlog.get_logger("voice.turn_away")


async def turn_away(ctx: JobContext, settings: Settings) -> None:
    """Say the error message if it was rendered ahead, then close the room and end the job."""
    not_recorded(ctx)
    voices = ctx.proc.userdata["parts"].models.tts
    phrases = Phrases(settings, voices[0] if voices else None)
    try:
        await ctx.connect()
        await phrases.load()
        if (audio := phrases.audio(settings.agent_error_message)) is not None:
            timeout_s = settings.agent_no_caller_timeout_s
            await asyncio.wait_for(ctx.wait_for_participant(), timeout_s)
            await announce(ctx.room, audio)
    except Exception:
        # Nobody is to stay in a silent room, whatever could not be said there.
        logger.warning("caller not told", exc_info=True)
    await close_room(ctx)
    ctx.shutdown(CRASHED)
