"""Lookups: what LiveKit knows, and shows by no public name."""

import asyncio
from typing import Any, Final

from livekit.agents import AgentServer, AgentSession
from livekit.agents.voice import agent_activity, tool_executor

from callrecord.recording.usage.requests import OUTSIDE, RECOVERY

PROBES: Final = ("_recover_llm_task", "_recover_stt_task", "_recover_tts_task")
"""LiveKit's tasks that ask a model whether it is back; nobody hears the answer."""


def speech_id() -> str | None:
    """Return the speech that is being made in this task."""
    speech = agent_activity._SpeechHandleContextVar.get(None)  # noqa: SLF001
    return speech.id if speech is not None else None


def purpose(speech: str | None) -> str | None:
    """Return what a request of this task is for, if not for a speech of a session."""
    if is_probe():
        return RECOVERY
    return None if speech else OUTSIDE


def is_probe() -> bool:
    """Whether this task only asks whether a model that failed is back."""
    task = asyncio.current_task()
    name = "" if task is None else getattr(task.get_coro(), "__qualname__", "")
    return name.endswith(PROBES)


def tool_task(session: AgentSession[Any] | None, call_id: str) -> "asyncio.Task[Any] | None":
    """Return the task in which a tool runs; None if it has ended."""
    running = getattr(tool_executor, "_RunningTasks", {}).get(session, {}).get(call_id)
    return getattr(running, "exe_task", None)


def realtime_session(session: AgentSession[Any] | None) -> Any:
    """Return the session of its realtime model that an agent session talks to; None without one."""
    return getattr(getattr(session, "_activity", None), "realtime_llm_session", None)


def agent_name(server: AgentServer) -> str:
    """Return the name that LiveKit dispatches to."""
    return str(getattr(server, "_agent_name", ""))
