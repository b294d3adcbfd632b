"""Function calls: each is a message of role system in its place in the conversation.

A function call is recorded when it starts, in case the job is killed meanwhile, and again with its
result. A function that answers before it is done (by `RunContext.update`, or as its speech was
interrupted) stays open until it is done: its last result replaces its first answer.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from livekit.agents import AgentSession, FunctionCall, FunctionCallOutput
from livekit.agents.voice.events import ToolCallEnded

from callrecord.events import Event, Message, new_id
from callrecord.recording.conversation.messages import when
from callrecord.recording.instrumentation.lookups import tool_task


@dataclass
class _Running:
    """A function that is not done, or whose result is not known yet.

    Attributes:
        called: The call without its result.
        task: LiveKit's task, which has the exception of a failure.
        began: When it started, by the monotonic clock.
        answered: Whether the model has an answer, perhaps not the last one.
    """

    message: Message
    called: str
    task: "asyncio.Task[Any] | None" = None
    began: float = field(default_factory=time.monotonic)
    answered: bool = False
    ended: bool = False


class Tools:
    """Records the function calls of one session."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append = append
        self._session: AgentSession[None] | None = None
        # By the id of LiveKit's item: some models reuse the ids of their calls.
        self._running: dict[str, _Running] = {}

    def follow(self, session: AgentSession[None]) -> None:
        """Set the session."""
        self._session = session

    def started(self, call: FunctionCall, agent: str | None, speech_id: str | None) -> None:
        """Record that a function was called."""
        message = _message(call, agent, speech_id)
        self._running[call.id] = _Running(
            message, message.content, tool_task(self._session, call.call_id)
        )
        self._append(message)

    def ended(self, update: ToolCallEnded) -> None:
        """Record how a function ended, and how long it took.

        `executed` brings the model's answer, unless the model has had one before.
        """
        found = (
            (item_id, each)
            for item_id, each in self._running.items()
            if each.message.metadata["call_id"] == update.call_id and not each.ended
        )
        item_id, running = next(found, ("", None))
        if running is None:
            return
        running.ended = True
        outcome: dict[str, Any] = {"duration_ms": round((time.monotonic() - running.began) * 1000)}
        if update.status == "cancelled":
            outcome |= {"cancelled": True}
        elif update.status == "error" and (kind := _failure(running.task)) is not None:
            outcome |= {"error_type": kind}
        if update.id != update.call_id:
            outcome |= _result(self._later_output(update.id))
        elif update.status == "done" and not running.answered:
            outcome |= {"result": update.message, "is_error": False}
        self._update(running, outcome)
        if running.answered:
            del self._running[item_id]

    def executed(
        self,
        call: FunctionCall,
        output: FunctionCallOutput | None,
        agent: str | None,
        speech_id: str | None,
    ) -> None:
        """Record a function call with the answer for the model."""
        running = self._running.get(call.id)
        if running is None:  # rejected: an unknown function or wrong arguments
            message = _message(call, agent, speech_id)
            running = _Running(message, message.content, ended=True)
        elif running.message.speech_id is None:
            running.message = msgspec.structs.replace(running.message, speech_id=speech_id)
        running.answered = True
        self._update(running, _result(output))
        if running.ended:
            self._running.pop(call.id, None)

    def end(self) -> None:
        """Mark unfinished functions as interrupted: the call is over."""
        for running in self._running.values():
            if not running.ended:
                self._append(msgspec.structs.replace(running.message, interrupted=True))

    def _update(self, running: _Running, outcome: dict[str, Any]) -> None:
        before = running.message.metadata
        metadata = before | outcome
        if "result" in outcome and before.get("result") not in (None, outcome["result"]):
            # An async function reports several results, and the model got each of them.
            metadata["earlier_results"] = [*before.get("earlier_results", ()), before["result"]]
        if running.ended:
            metadata.pop("final", None)
        content = running.message.content
        if "result" in outcome:
            content = f"{running.called} -> {outcome['result']}"
        running.message = msgspec.structs.replace(
            running.message, content=content, metadata=metadata
        )
        self._append(running.message)

    def _later_output(self, output_id: str) -> FunctionCallOutput | None:
        items = self._session.history.items if self._session is not None else ()
        found = (
            item
            for item in reversed(items)
            if item.type == "function_call_output" and item.call_id == output_id
        )
        return next(found, None)


def _message(call: FunctionCall, agent: str | None, speech_id: str | None) -> Message:
    return Message(
        id=new_id(),
        role="system",
        content=f"{call.name}({call.arguments})",
        at=when(call),
        participant_identity=agent,
        speech_id=speech_id,
        metadata={
            "final": False,
            "kind": "tool_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": _json(call.arguments),
        },
    )


def _result(output: FunctionCallOutput | None) -> dict[str, Any]:
    if output is None:
        return {"result": None, "is_error": False}
    result = {"result": output.output, "is_error": output.is_error}
    return result | ({"error": output.output} if output.is_error else {})


def _failure(task: "asyncio.Task[Any] | None") -> str | None:
    """Return the class of a function's exception: its message may reveal internals."""
    if task is None or not task.done() or task.cancelled():
        return None
    raised = task.exception() or task.result()  # LiveKit returns some exceptions as a result
    return type(raised).__name__ if isinstance(raised, BaseException) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
