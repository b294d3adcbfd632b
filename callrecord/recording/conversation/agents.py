"""Changes of the agent in a session: another agent takes over, its instructions or tools change.

Each change is a message of role system. It does not quote the instructions: the people of a call
may read its messages.
"""

import hashlib
import time
from datetime import UTC, datetime
from typing import Any, Final

from livekit.agents import AgentSession
from livekit.agents.llm import AgentConfigUpdate, AgentHandoff

from callrecord.events import Message, new_id, now

_LATE_S: Final = 10.0
"""How late an item with an earlier time may arrive, for example if a clock is set back."""


def handoff(item: AgentHandoff) -> Message | None:
    """Return the message of a handoff; None for the first agent, which takes over from none."""
    if item.old_agent_id is None:
        return None
    return _message(
        f"{item.old_agent_id} -> {item.new_agent_id}",
        item.created_at,
        {"kind": "agent_handoff", "from": item.old_agent_id, "to": item.new_agent_id},
    )


class ConfigUpdates:
    """Finds changes of instructions and tools, for which LiveKit has no event.

    The session's first configuration is not a change.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._looked = 0.0

    def look(self, session: AgentSession[Any] | None) -> list[Message]:
        """Return messages of the changes since the last call."""
        if session is None:
            return []
        new: list[AgentConfigUpdate] = []
        # The items are ordered by time: a long call's history is not scanned at each turn.
        for item in reversed(session.history.items):
            if item.created_at < self._looked - _LATE_S:
                break
            if isinstance(item, AgentConfigUpdate) and item.id not in self._seen:
                new.insert(0, item)
        first = not self._seen
        self._looked = time.time()
        self._seen.update(item.id for item in new)
        return [_changed(item) for item in new[first:]]


def _changed(item: AgentConfigUpdate) -> Message:
    metadata: dict[str, Any] = {"kind": "agent_config"}
    words = []
    if item.instructions is not None:
        metadata["instructions_sha256"] = hashlib.sha256(item.instructions.encode()).hexdigest()
        metadata["instructions_characters"] = len(item.instructions)
        words.append(f"instructions of {len(item.instructions)} characters")
    for name, tools in (("added", item.tools_added), ("removed", item.tools_removed)):
        if tools:
            metadata[f"tools_{name}"] = sorted(tools)
            words.append(f"tools {name}: {', '.join(sorted(tools))}")
    return _message("; ".join(words), item.created_at, metadata)


def _message(content: str, created_at: float | None, metadata: dict[str, Any]) -> Message:
    at = datetime.fromtimestamp(created_at, UTC) if created_at else now()
    return Message(id=new_id(), role="system", content=content, at=at, metadata=metadata)
