"""Failures of a turn."""

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
    """Return what is wrong with a speech that has ended, or None.

    Args:
        speech: The speech, which was not interrupted.
        sounded: Whether any of it was heard since the last tool ended.
    """
    if (error := speech.exception()) is not None:
        return type(error).__name__
    items: list[Any] = list(speech.chat_items)
    if sounded:
        return None  # perhaps without words: not every realtime model sends them
    if not items:
        return "empty"
    last = items[-1]
    if isinstance(last, FunctionCallOutput) and last.reply_required:
        return "empty"  # a tool's result that should have been spoken
    return None
