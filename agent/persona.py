"""What every persona shares: its words are recorded as they are spoken, and it can end the call."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import TYPE_CHECKING

import structlog
from livekit.agents import Agent, ModelSettings, RunContext, get_job_context
from livekit.agents.types import TimedString

from callrecord.recording.recorder import Recorder

if TYPE_CHECKING:
    from agent.call import Call

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


async def end_call(context: RunContext[None], *, farewell: str) -> None:
    """End the call as hung up by the agent, once it has said goodbye.

    Args:
        context: Of the function tool that ends the call.
        farewell: Said first, unless the model has said something of its own with the tool call.
    """
    await _say_last(context, farewell, lambda: _call().end("agent_hangup"))


async def hand_over(context: RunContext[None], *, reason: str, summary: str, farewell: str) -> None:
    """Leave the caller to a human: the agent goes, and the room stays open with the caller in it.

    The call's row ends as `transferred`, with reason and summary in `metadata.end.handover`.
    """
    note = {"reason": reason, "summary": summary}
    await _say_last(context, farewell, lambda: _call().end("transferred", handover=note))


async def _say_last(context: RunContext[None], farewell: str, then: Callable[[], None]) -> None:
    await context.wait_for_playout()
    if any(item.type == "message" for item in context.speech_handle.chat_items):
        then()
        return
    # Not awaited: a tool that waits for a later speech would wait for itself.
    last = context.session.say(farewell, allow_interruptions=False)
    last.add_done_callback(lambda _: then())


def _call() -> "Call":
    call: Call = get_job_context().proc.userdata["call"]
    return call
