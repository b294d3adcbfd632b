"""Function calls: each a message of role system in its place in the conversation.

One is recorded when it begins, so that a call that is killed meanwhile keeps it, and again with its
result. A function that answers before it is done (`RunContext.update`, or its speech was cut) is
open until it is done: its last result replaces what it answered first.
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
    """A function that is not done, or whose result is not told.

    Attributes:
        called: The call without its result.
        task: LiveKit's, which knows what a failure was.
        began: By the monotonic clock.
        answered: The model has an answer, perhaps not the last.
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
        # By the id of LiveKit's item: some models use the ids of their calls again.
        self._running: dict[str, _Running] = {}

    def follow(self, session: AgentSession[None]) -> None:
        """Name the session whose functions these are."""
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

        What the model is told of it comes with `executed`, unless it has had an answer before.
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
        told: dict[str, Any] = {"duration_ms": round((time.monotonic() - running.began) * 1000)}
        if update.status == "cancelled":
            told |= {"cancelled": True}
        elif update.status == "error" and (kind := _failure(running.task)) is not None:
            told |= {"error_type": kind}
        if update.id != update.call_id:
            told |= _result(self._told_later(update.id))
        elif update.status == "done" and not running.answered:
            told |= {"result": update.message, "is_error": False}
        self._tell(running, told)
        if running.answered:
            del self._running[item_id]

    def executed(
        self,
        call: FunctionCall,
        output: FunctionCallOutput | None,
        agent: str | None,
        speech_id: str | None,
    ) -> None:
        """Record a function call with what the model is told of it."""
        running = self._running.get(call.id)
        if running is None:  # turned down: there is no such function, or it takes other arguments
            message = _message(call, agent, speech_id)
            running = _Running(message, message.content, ended=True)
        elif running.message.speech_id is None:
            running.message = msgspec.structs.replace(running.message, speech_id=speech_id)
        running.answered = True
        self._tell(running, _result(output))
        if running.ended:
            self._running.pop(call.id, None)

    def end(self) -> None:
        """Mark what the end of the call leaves unfinished."""
        for running in self._running.values():
            if not running.ended:
                self._append(msgspec.structs.replace(running.message, interrupted=True))

    def _tell(self, running: _Running, told: dict[str, Any]) -> None:
        before = running.message.metadata
        metadata = before | told
        if "result" in told and before.get("result") not in (None, told["result"]):
            # An async function reports several times, and the model was told each of them.
            metadata["earlier_results"] = [*before.get("earlier_results", ()), before["result"]]
        if running.ended:
            metadata.pop("final", None)
        content = running.message.content
        if "result" in told:
            content = f"{running.called} -> {told['result']}"
        running.message = msgspec.structs.replace(
            running.message, content=content, metadata=metadata
        )
        self._append(running.message)

    def _told_later(self, output_id: str) -> FunctionCallOutput | None:
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
    told = {"result": output.output, "is_error": output.is_error}
    return told | ({"error": output.output} if output.is_error else {})


def _failure(task: "asyncio.Task[Any] | None") -> str | None:
    """Return the class of what a function raised: its words may be of its insides."""
    if task is None or not task.done() or task.cancelled():
        return None
    raised = task.exception() or task.result()  # LiveKit hands some on as a result
    return type(raised).__name__ if isinstance(raised, BaseException) else None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
