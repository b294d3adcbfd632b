"""`python -m tests.callrecord.recording.traced DIR`: a recorded conversation, in its own process.

Prints the ids of its rows as JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from livekit.agents import Agent, AgentSession

from callrecord.db.events import now
from callrecord.recording.telemetry import telemetry_of
from tests.callrecord.recording.outbox import Outbox
from tests.callrecord.recording.scripted import Reply, ScriptedLLM


async def main(directory: Path) -> None:
    """Ask once."""
    outbox = Outbox(directory)
    outbox.recorder.telemetry = telemetry_of(outbox.header)
    session = AgentSession[None](llm=ScriptedLLM([Reply("I am Robin.")]))
    outbox.recorder.attach_session(session)
    await session.start(Agent(instructions="Be brief."))
    await session.generate_reply(user_input="Who are you?")
    await session.aclose()
    outbox.recorder.finish("caller_hangup", now(), {})
    begun = time.monotonic()
    await outbox.recorder.flush_telemetry()
    told = {
        "call": str(outbox.header.key),
        "messages": [str(message.id) for message in outbox.messages()],
        "flush_s": time.monotonic() - begun,
    }
    sys.stdout.write(f"{json.dumps(told)}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
