"""What every persona shares: it greets, and it can end the call or hand it over."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog
from livekit.agents import Agent, RunContext, get_job_context
from livekit.agents.voice import SpeechHandle

if TYPE_CHECKING:
    from agent.call.call import Call

logger = structlog.get_logger("voice.persona")


class Persona(Agent):
    """An agent with a greeting.

    Args:
        instructions: For the language model.
        greeting: Said first.
        farewells: What its tools may say last. Named here they are rendered ahead, and said
            even if the speech model is down.
    """

    def __init__(self, *, instructions: str, greeting: str, farewells: Sequence[str] = ()) -> None:
        super().__init__(instructions=instructions)
        self.greeting = greeting
        self.farewells = tuple(farewells)


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
    # What was said before an earlier tool is no goodbye. Words with this call are added later, at
    # the end of their playout.
    before = _messages(context.speech_handle)
    await context.wait_for_playout()
    if _messages(context.speech_handle) > before:
        then()
        return
    phrases = _call().phrases
    await phrases.load(farewell)
    # Not awaited: a tool that waits for a later speech would wait for itself.
    phrases.say_last(context.session, farewell, then)


def _messages(speech: SpeechHandle) -> int:
    return sum(item.type == "message" for item in speech.chat_items)


def _call() -> "Call":
    call: Call = get_job_context().proc.userdata["call"]
    return call
