"""A voice agent as one begins with LiveKit's documentation; only the two marked lines are new."""

import logging
import os

from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobProcess,
    cli,
    function_tool,
)
from livekit.agents.beta.tools import EndCallTool
from livekit.plugins import openai, silero

from callrecord import record  # new

logger = logging.getLogger("starter")


class Assistant(Agent):
    """A helpful voice."""

    def __init__(self) -> None:
        super().__init__(
            instructions="You are a helpful voice assistant. Answer in a sentence or two.",
            tools=[EndCallTool()],
        )

    async def on_enter(self) -> None:
        """Greet the caller."""
        self.session.say("Hi, what can I do for you?")

    @function_tool
    async def lookup_weather(self, location: str) -> str:
        """Look up the weather.

        Args:
            location: A city or a region.
        """
        logger.info("looking up the weather")
        return f"Sunny in {location}, 22 degrees."


def prewarm(proc: JobProcess) -> None:
    """Load what takes long before there is a call."""
    proc.userdata["vad"] = silero.VAD.load()


server = AgentServer(port=int(os.environ.get("PORT", "8081")))
server.setup_fnc = prewarm


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Answer a call."""
    session = AgentSession[None](
        vad=ctx.proc.userdata["vad"],
        stt=openai.STT(),
        llm=openai.LLM(model="gpt-4.1-mini"),
        tts=openai.TTS(),
        turn_detection="vad",
    )
    record(ctx, session)  # new
    await session.start(agent=Assistant(), room=ctx.room)
    await ctx.connect()


if __name__ == "__main__":
    cli.run_app(server)
