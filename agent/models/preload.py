"""Code that libraries import on its first use, imported before the call instead.

Seen in a job's process: each of these blocks the call's loop for some of its first moments.
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
    """Import what a call would; what a newer version has no more is left to the call."""
    for name in _MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for client in clients:
        # Each attribute imports its part of the library.
        _ = client.chat.completions, client.audio.speech, client.audio.transcriptions, client.models
