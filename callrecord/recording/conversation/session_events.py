"""Passes the events of a session to its turns."""

from collections.abc import Callable
from typing import Any, Final

from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    ErrorEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
)
from livekit.agents.voice.events import ToolExecutionUpdatedEvent

from callrecord.privacy import private_logger
from callrecord.recording.conversation.turns import Turns

logger = private_logger("voice.recorder")


def _agent_state_changed(turns: Turns, event: AgentStateChangedEvent) -> None:
    if event.new_state == "speaking":
        turns.of_agent.sounding()


def _transcribed(turns: Turns, event: UserInputTranscribedEvent) -> None:
    if event.is_final:
        turns.of_caller.heard(event.transcript, event.speaker_id, event.item_id)


def _item_added(turns: Turns, event: ConversationItemAddedEvent) -> None:
    if event.item.type == "message":
        turns.item_added(event.item)
    elif event.item.type == "agent_handoff":
        turns.handed_over(event.item)


def _tool_updated(turns: Turns, event: ToolExecutionUpdatedEvent) -> None:
    if event.update.type in {"tool_call_started", "tool_call_ended"}:
        turns.tool_updated(event.update)


def _tools_executed(turns: Turns, event: FunctionToolsExecutedEvent) -> None:
    for call, output in event.zipped():
        turns.tool_executed(call, output)


def log_error(event: ErrorEvent) -> None:
    """Log an error of a session's models; other code records its effect on the call."""
    # Log only classes: a provider's message may quote what people said.
    error = getattr(event.error, "error", event.error)
    logger.warning(
        "pipeline error",
        extra={
            "source": type(event.source).__name__,
            "error": type(error).__name__,
            "status_code": getattr(error, "status_code", None),
            "recoverable": getattr(event.error, "recoverable", None),
        },
    )


HANDLERS: Final[dict[str, Callable[[Turns, Any], None]]] = {
    "agent_state_changed": _agent_state_changed,
    "user_input_transcribed": _transcribed,
    "conversation_item_added": _item_added,
    "tool_execution_updated": _tool_updated,
    "function_tools_executed": _tools_executed,
}
"""The handler of each event, by the event's name."""
