"""Failures: what can be wrong with a turn."""

from dataclasses import dataclass
from typing import Any

from livekit.agents import FunctionCallOutput
from livekit.agents.voice import SpeechHandle


@dataclass(frozen=True)
class Failure:
    """What went wrong in a turn.

    Attributes:
        part: "stt", "llm", "tts", "realtime_model" or "tool".
        problem: "stalled", "empty", "unheard", or the name of an error's class.
    """

    part: str
    problem: str

    def __str__(self) -> str:
        return f"{self.part} {self.problem}"


def problem_of(speech: SpeechHandle, *, sounded: bool) -> str | None:
    """Return what is wrong with a speech that has come to its end, or None.

    Args:
        speech: Not interrupted.
        sounded: Something of it was heard since the last tool ended.
    """
    if (error := speech.exception()) is not None:
        return type(error).__name__
    items: list[Any] = list(speech.chat_items)
    if sounded:
        return None  # maybe without words: not every realtime model gives them
    if not items:
        return "empty"
    last = items[-1]
    if isinstance(last, FunctionCallOutput) and last.reply_required:
        return "empty"  # a tool's result that was to be told
    return None
