"""The functions that LiveKit calls in a job's process."""

import asyncio
from dataclasses import dataclass

import structlog
from livekit.agents import JobContext, JobProcess

from agent import logs
from agent.call.call import Call
from agent.models.pipeline import prepare
from agent.models.preload import preload
from agent.persona import load_assistant
from agent.settings import Settings
from agent.speech.announce import announce, close_room
from agent.speech.phrases import Phrases
from callrecord.privacy import describe
from callrecord.recording.job_notes import not_recorded
from callrecord.recording.room.ending import CRASHED

logger = structlog.get_logger("voice.job")


@dataclass(frozen=True)
class JobConfig:
    """What a job's process needs to know about its worker.

    Attributes:
        reload: Whether an edit of the persona applies from the next call on.
    """

    settings: Settings
    reload: bool = False


def prewarm(config: JobConfig, proc: JobProcess) -> None:
    """Prepare a job's process before it gets a call."""
    logs.configure(config.settings)
    proc.userdata["config"] = config
    try:
        load_assistant()
    except Exception:
        if not config.reload:
            raise
        # Under `dev` it may be fixed before the next call, which fails if it is not.
    proc.userdata["parts"] = parts = prepare(config.settings)
    preload(parts.clients.all())


async def entrypoint(ctx: JobContext) -> None:
    """Run a job."""
    config: JobConfig = ctx.proc.userdata["config"]
    try:
        call = Call(ctx, config.settings, reload=config.reload)
    except OSError as error:
        # The worker has a note of this job, and ends the call as crashed.
        logger.error("call can't be recorded, it is turned away", error=describe(error))  # noqa: TRY400
        await turn_away(ctx, config.settings)
        return
    ctx.proc.userdata["call"] = call
    await call.run()


async def on_session_end(ctx: JobContext) -> None:
    """Finish the call, after the session's end and before the job leaves the room."""
    call = ctx.proc.userdata.get("call")
    if call is not None:
        await call.finish()


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
        # Close the room anyway: nobody must stay in a silent room.
        logger.warning("caller not told", exc_info=True)
    await close_room(ctx)
    ctx.shutdown(CRASHED)
