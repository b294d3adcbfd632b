"""`python -m bench.stock_worker start`: a plain livekit-agents worker, as its guides write one.

The same models, settings and greeting as ours, and nothing else of ours in a call: no recorder, no
outbox. It connects, starts the session and says the greeting.
"""

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess, cli
from livekit.plugins import openai, silero

from agent.assistant import GREETING, INSTRUCTIONS
from agent.models.pipeline import turn_handling
from agent.settings import load


def prewarm(proc: JobProcess) -> None:
    """Load what every call needs."""
    proc.userdata["vad"] = silero.VAD.load()


async def entrypoint(ctx: JobContext) -> None:
    """Run a job."""
    await ctx.connect()
    settings = load()  # url and key of the models come from the environment
    session: AgentSession[None] = AgentSession(
        vad=ctx.proc.userdata["vad"],
        stt=openai.STT(model=settings.agent_stt_model, language=settings.agent_language),
        llm=openai.LLM(model=settings.agent_llm_model),
        tts=openai.TTS(model=settings.agent_tts_model, voice=settings.agent_tts_voice),
        turn_handling=turn_handling(settings),
    )
    await session.start(Agent(instructions=INSTRUCTIONS), room=ctx.room)
    session.say(GREETING)


def no_load(_: AgentServer) -> float:
    """Tell LiveKit that there is room: by default CPU of the machine counts.

    On a busy machine that would leave some of the benchmark's calls without an answer.
    """
    return 0.0


server = AgentServer(port=0, setup_fnc=prewarm, load_fnc=no_load)
server.rtc_session(entrypoint, agent_name=os.environ.get("AGENT_NAME", ""))

if __name__ == "__main__":
    cli.run_app(server)
