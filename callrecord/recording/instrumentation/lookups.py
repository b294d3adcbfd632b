"""Lookups of what LiveKit keeps under private names."""

import asyncio
from typing import Any, Final

from livekit.agents import AgentServer, AgentSession
from livekit.agents.voice import agent_activity, tool_executor

from callrecord.recording.usage.requests import OUTSIDE, RECOVERY

PROBES: Final = ("_recover_llm_task", "_recover_stt_task", "_recover_tts_task")
"""LiveKit's tasks that check whether a failed model is back; nobody hears the answer."""


def speech_id() -> str | None:
    """Return the id of the speech that this task makes."""
    variable = getattr(agent_activity, "_SpeechHandleContextVar", None)
    speech = None if variable is None else variable.get(None)
    return speech.id if speech is not None else None


def purpose(speech: str | None) -> str | None:
    """Return the purpose of this task's requests; None if they are for a speech of a session."""
    if is_probe():
        return RECOVERY
    return None if speech else OUTSIDE


def is_probe() -> bool:
    """Whether this task only checks whether a failed model is back."""
    task = asyncio.current_task()
    name = "" if task is None else getattr(task.get_coro(), "__qualname__", "")
    return name.endswith(PROBES)


def tool_task(session: AgentSession[Any] | None, call_id: str) -> "asyncio.Task[Any] | None":
    """Return the task in which a tool runs; None if it has ended."""
    running = getattr(tool_executor, "_RunningTasks", {}).get(session, {}).get(call_id)
    return getattr(running, "exe_task", None)


def realtime_session(session: AgentSession[Any] | None) -> Any:
    """Return the realtime model's session that an agent session uses; None without one."""
    return getattr(getattr(session, "_activity", None), "realtime_llm_session", None)


def agent_name(server: AgentServer) -> str:
    """Return the agent name under which LiveKit dispatches jobs to the server."""
    return str(getattr(server, "_agent_name", ""))
