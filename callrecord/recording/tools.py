"""Function calls: each a message of role system in its place in the conversation.

One is recorded when it begins, so that a call that is killed meanwhile keeps it, and again with its
result.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
from livekit.agents import FunctionCall, FunctionCallOutput

from callrecord.db.events import Event, Message, new_id
from callrecord.recording.messages import when


class Tools:
    """Records the function calls of one session."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        self._append = append
        self._messages: dict[str, Message] = {}
        self._began: dict[str, float] = {}

    def started(self, call: FunctionCall, agent: str | None, speech_id: str | None) -> None:
        """Record that a function was called."""
        message = msgspec.structs.replace(
            _message(call), participant_identity=agent, speech_id=speech_id
        )
        self._began[call.call_id] = time.monotonic()
        self._tell(call.call_id, message)

    def ended(self, call_id: str, status: str) -> None:
        """Record how long it took; its result comes with `executed`, unless it was cancelled.

        Args:
            call_id: The model's id of the call.
            status: done, error or cancelled.
        """
        message, began = self._messages.get(call_id), self._began.pop(call_id, None)
        if message is None or began is None:
            return
        told: dict[str, Any] = {"duration_ms": round((time.monotonic() - began) * 1000)}
        if status == "cancelled":
            told |= {"cancelled": True}
        self._tell(call_id, _noted(message, told))

    def executed(
        self,
        call: FunctionCall,
        output: FunctionCallOutput | None,
        agent: str | None,
        speech_id: str | None,
    ) -> None:
        """Record a function call with its result."""
        if call.call_id not in self._messages:
            self.started(call, agent, speech_id)
        message = self._messages[call.call_id]
        if message.speech_id is None and speech_id is not None:
            message = msgspec.structs.replace(message, speech_id=speech_id)
        result = None if output is None else output.output
        failed = output is not None and output.is_error
        told = {"result": result, "is_error": failed} | ({"error": result} if failed else {})
        message = msgspec.structs.replace(
            message, content=f"{call.name}({call.arguments}) -> {result}"
        )
        self._tell(call.call_id, _noted(message, told))

    def end(self) -> None:
        """Mark what the end of the call leaves unfinished."""
        for call_id in list(self._began):
            message = self._messages[call_id]
            self._tell(call_id, msgspec.structs.replace(message, interrupted=True))

    def _tell(self, call_id: str, message: Message) -> None:
        self._messages[call_id] = message
        self._append(message)


def _message(call: FunctionCall) -> Message:
    return Message(
        id=new_id(),
        role="system",
        content=f"{call.name}({call.arguments})",
        at=when(call),
        metadata={
            "final": False,
            "kind": "tool_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": _json(call.arguments),
        },
    )


def _noted(message: Message, told: dict[str, Any]) -> Message:
    metadata = {name: value for name, value in message.metadata.items() if name != "final"}
    return msgspec.structs.replace(message, metadata=metadata | told)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
