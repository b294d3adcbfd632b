"""What all personas share: a greeting, and ways to end the call or to hand it over.

`load_assistant` returns the class of `agent/assistant.py`; under `dev` an edit of that file applies
from the next call on.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog
from livekit.agents import Agent, AgentSession, RunContext, get_job_context
from livekit.agents.voice import SpeechHandle

logger = structlog.get_logger("voice.persona")


class _Phrases(Protocol):
    async def load(self, *texts: str) -> None: ...

    def say_last(self, session: AgentSession[Any], text: str, then: Callable[[], None]) -> None: ...


class _Call(Protocol):
    """The call of this job, as far as a persona's tools use it."""

    @property
    def phrases(self) -> _Phrases: ...

    def end(self, end_reason: str, **detail: Any) -> None: ...


class Persona(Agent):
    """An agent with a greeting.

    Args:
        instructions: The instructions for the language model.
        greeting: What the agent says first.
        farewells: What its tools may say last. Those named here are rendered ahead, and said even
            if the speech model is down.
    """

    def __init__(self, *, instructions: str, greeting: str, farewells: Sequence[str] = ()) -> None:
        super().__init__(instructions=instructions)
        self.greeting = greeting
        self.farewells = tuple(farewells)


async def end_call(context: RunContext[None], *, farewell: str) -> None:
    """End the call as hung up by the agent, after it has said goodbye.

    Args:
        context: The context of the function tool that ends the call.
        farewell: Said first, unless the model has said something itself with the tool call.
    """
    await _say_last(context, farewell, lambda: _call().end("agent_hangup"))


async def hand_over(context: RunContext[None], *, reason: str, summary: str, farewell: str) -> None:
    """Leave the caller to a human: the agent leaves, and the room stays open for the caller.

    The call's row ends as `transferred`, with reason and summary in `metadata.end.handover`.
    """
    note = {"reason": reason, "summary": summary}
    await _say_last(context, farewell, lambda: _call().end("transferred", handover=note))


async def _say_last(context: RunContext[None], farewell: str, then: Callable[[], None]) -> None:
    # What was said before an earlier tool is not a goodbye. Words with this call are added later,
    # at the end of their playout.
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


def _call() -> _Call:
    call: _Call = get_job_context().proc.userdata["call"]
    return call


MODULE = "agent.assistant"

_seen: dict[str, tuple[int, int]] = {}


def load_assistant(*, fresh: bool = False) -> Callable[[], Persona]:
    """Return the class `Assistant` of the persona's file.

    Args:
        fresh: Read the file again if it has changed since this process last read it.

    Raises:
        Exception: Whatever is wrong with the file.
    """
    status = Path(__file__).with_name("assistant.py").stat()
    stamp = (status.st_mtime_ns, status.st_size)
    module = sys.modules.get(MODULE)
    if module is None:
        module = importlib.import_module(MODULE)
    elif fresh and stamp != _seen.get(MODULE):
        module = importlib.reload(module)
    _seen[MODULE] = stamp
    assistant: Callable[[], Persona] = module.Assistant
    return assistant
