"""LiveKit's private names that our own worker uses, in addition to those of recording."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from livekit.agents import AgentSession
from livekit.agents.llm import LLMError, RealtimeModelError
from livekit.agents.stt import STTError
from livekit.agents.tts import TTSError

from callrecord.recording.instrumentation.livekit_names import Names

NAMES: Final = (
    Names(
        "livekit.agents:AgentSession",
        ("_claim_user_turn",),
        "typed text takes its turn beside speech",
        "a typed turn and a spoken one may be answered at once",
        "rooms/test_participants.py",
    ),
    Names(
        "livekit.agents:AgentSession",
        ("_on_error",),
        "a session whose realtime model is lost stays for the last words",
        "the caller of a lost realtime model hears no last words",
        "rooms/test_realtime.py",
    ),
    Names(
        "livekit.plugins.openai:TTS",
        ("_opts", "_client"),
        "what the sound of a speech model depends on",
        "phrases that were rendered ahead are kept apart by provider and model alone",
        "unit/agent/speech/test_speech_cache.py",
    ),
)
"""All private names of the worker; see `callrecord.recording.instrumentation.livekit_names`."""


class StayingSession(AgentSession[None]):
    """A session that LiveKit does not close when its realtime model is lost.

    LiveKit would close it without a word, and at times without its close event.
    """

    def _on_error(self, error: LLMError | STTError | TTSError | RealtimeModelError) -> None:
        if not isinstance(error, RealtimeModelError):
            super()._on_error(error)


@asynccontextmanager
async def user_turn(session: AgentSession[Any]) -> AsyncIterator[None]:
    """Hold back spoken turns while a typed turn is processed, as LiveKit does for its own text."""
    claim = getattr(session, "_claim_user_turn", None)
    if claim is None:
        yield
        return
    async with claim():
        yield


def options_of(model: Any) -> tuple[str, str]:
    """Return the server of a plugin's model, and its options; "" and "None" if not known."""
    server = getattr(getattr(model, "_client", None), "base_url", "")
    return str(server), repr(getattr(model, "_opts", None))
