"""What every persona shares: its words are recorded as they are spoken, and it can end the call."""

import re
from collections.abc import AsyncGenerator, AsyncIterable

import structlog
from livekit.agents import Agent, ModelSettings, RunContext, get_job_context
from livekit.agents.types import TimedString

from agent.recorder import Recorder

logger = structlog.get_logger("voice.persona")

_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f][\"')\u201d]?\s*$")


class Persona(Agent):
    """An agent with a greeting, whose replies are recorded from their first sentence on."""

    def __init__(self, *, instructions: str, greeting: str) -> None:
        super().__init__(instructions=instructions)
        self.greeting = greeting
        self.recorder: Recorder | None = None

    async def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncGenerator[str | TimedString, None]:
        """Pass the reply's text on, and record it sentence by sentence on its way."""
        waiting = ""
        async for part in Agent.default.transcription_node(self, text, model_settings):
            waiting += part
            if _SENTENCE_END.search(waiting):
                self._saying(waiting)
                waiting = ""
            yield part
        self._saying(waiting)

    def _saying(self, text: str) -> None:
        if self.recorder is not None:
            self.recorder.guard("saying", self.recorder.turns.saying)(text)


async def end_call(context: RunContext[None]) -> None:
    """Let the current speech play out, then end the call as hung up by the agent."""
    await context.wait_for_playout()
    get_job_context().proc.userdata["call"].end("agent_hangup")
