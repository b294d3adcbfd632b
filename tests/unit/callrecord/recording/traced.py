"""`python -m tests.unit.callrecord.recording.traced DIR URL KEY`: a recorded call, by itself.

A process of its own, as a job is, that asks the models at URL. Prints the ids of its rows as JSON.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from livekit.agents import AgentSession, UserInputTranscribedEvent
from livekit.plugins import openai as plugins

from callrecord.events import Usage, now
from callrecord.recording.telemetry import telemetry_of
from tests.unit.callrecord.recording.instrumentation.conftest import Forecaster
from tests.unit.callrecord.recording.outbox import Outbox
from tests.waiting import until


def requests(outbox: Outbox) -> list[Usage]:
    """Return the requests whose end is booked."""
    return [each for each in outbox.usage() if not each.metadata.get("open")]


async def main(directory: Path, url: str, key: str) -> None:
    """Ask twice; the end of the call cuts the caller short."""
    outbox = Outbox(directory)
    outbox.recorder.telemetry = telemetry_of(outbox.header)
    model = plugins.LLM(model="gpt-4o", base_url=url, api_key=key)
    session = AgentSession[None](llm=model)
    outbox.recorder.attach_session(session)
    await session.start(Forecaster())
    await session.generate_reply(user_input="How is the weather?")
    await session.generate_reply(user_input="I am Robin. Are you there?")
    await until(lambda: len(requests(outbox)) == 3, what="the requests")
    cut = UserInputTranscribedEvent(transcript="And then", is_final=True)
    session.emit("user_input_transcribed", cut)
    await session.aclose()
    outbox.recorder.finish("caller_hangup", now(), {})
    begun = time.monotonic()
    await outbox.recorder.flush_telemetry()
    told = {
        "call": str(outbox.header.key),
        "messages": {str(message.id): message.llm_ttft_ms for message in outbox.messages()},
        "input": [request.input_tokens for request in requests(outbox)],
        "output": [request.output_tokens for request in requests(outbox)],
        "flush_s": time.monotonic() - begun,
    }
    sys.stdout.write(f"{json.dumps(told)}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
