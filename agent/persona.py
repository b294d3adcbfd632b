"""What every persona shares: it greets, and it can end the call or hand it over."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from livekit.agents import Agent, RunContext, get_job_context

if TYPE_CHECKING:
    from agent.call import Call

logger = structlog.get_logger("voice.persona")


class Persona(Agent):
    """An agent with a greeting."""

    def __init__(self, *, instructions: str, greeting: str) -> None:
        super().__init__(instructions=instructions)
        self.greeting = greeting


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
    last = _call().phrases.say(context.session, farewell, allow_interruptions=False)
    last.add_done_callback(lambda _: then())


def _call() -> "Call":
    call: Call = get_job_context().proc.userdata["call"]
    return call
