"""Imports code before the call that libraries would import at its first use.

Each of these imports was seen to block the call's loop in its first moments.
"""

import contextlib
import importlib

from openai import AsyncOpenAI

_MODULES = (
    "anyio._backends._asyncio",
    "anyio.streams.memory",
    "livekit.agents.llm.async_toolset",
    "numpy.fft",
    "openai.pagination",
)


def preload(clients: list[AsyncOpenAI]) -> None:
    """Import the modules that a call needs; those that a newer version lacks are skipped."""
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for client in clients:
        # Each attribute imports its part of the library.
        _ = client.chat.completions, client.audio.speech, client.audio.transcriptions, client.models
