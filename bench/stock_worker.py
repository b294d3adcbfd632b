"""`python -m bench.stock_worker start`: a plain livekit-agents worker, as its guides write one.

The same models, settings and greeting as ours, and nothing else of ours in a call: no recorder, no
outbox. It connects, starts the session and says the greeting.
"""

import os

from livekit.agents import Agent, AgentServer, JobContext, JobProcess, cli

from agent.assistant import GREETING, INSTRUCTIONS
from agent.pipeline import build_session, load_vad
from agent.settings import load


def prewarm(proc: JobProcess) -> None:
    """Load what every call needs."""
    proc.userdata["vad"] = load_vad()


async def entrypoint(ctx: JobContext) -> None:
    """Run a job."""
    await ctx.connect()
    session = build_session(load(), ctx.proc.userdata["vad"])
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
