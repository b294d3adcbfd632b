"""Phrases: the fixed sentences of a call, such as its greeting.

What was rendered ahead (see `agent.rendering`) is said at once and without the speech model, which
may be the part that is down. Everything else is spoken by the model.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

import structlog
from livekit import rtc
from livekit.agents import AgentSession, llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice import SpeechHandle

from agent.speech_cache import Speaker, SpeechCache, in_pieces, render, voice_of

if TYPE_CHECKING:
    from agent.settings import Settings

logger = structlog.get_logger("voice.phrases")


def messages(settings: "Settings") -> tuple[str, ...]:
    """Return the worker's own messages, the most needed first."""
    return (
        settings.agent_fallback_message,
        settings.agent_error_message,
        settings.agent_goodbye_message,
        settings.agent_silence_message,
        settings.agent_max_duration_message,
    )


class Phrases:
    """Says fixed sentences.

    Args:
        settings: They hold the worker's own messages.
        model: Whose voice callers are to hear: of several providers' the first. A message that
            the second one spoke in need must not be kept as the voice of the first.
    """

    def __init__(self, settings: "Settings", model: Speaker | None) -> None:
        self._settings = settings
        self._model = model
        self._audio: dict[str, rtc.AudioFrame] = {}

    async def load(self, *texts: str) -> None:
        """Read from disk what was rendered ahead; what is not there is spoken by the model.

        Args:
            texts: What may be said besides the worker's own messages, such as a greeting.
        """
        if self._model is not None:
            cache = SpeechCache(self._settings.agent_speech_cache_dir, voice_of(self._model))
            await asyncio.to_thread(self._read, cache, (*texts, *messages(self._settings)))

    def _read(self, cache: SpeechCache, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._audio and (audio := cache.read(text)) is not None:
                self._audio[text] = audio

    async def complete(self) -> None:
        """Render in this call what it lacks: nothing was, or can be, written to disk.

        The greeting is not among it: it may name the caller, and is said already.
        """
        for text in messages(self._settings):
            if self._model is None or text in self._audio:
                continue
            try:
                self._audio[text] = await render(self._model, text)
            except Exception as error:  # noqa: BLE001 - without it, the model speaks
                logger.debug("message not rendered ahead", error=type(error).__name__)
                return

    def audio(self, text: str) -> rtc.AudioFrame | None:
        """Return a phrase's audio, if it was rendered ahead."""
        return self._audio.get(text)

    def say(
        self, session: AgentSession[None], text: str, *, allow_interruptions: bool = True
    ) -> SpeechHandle:
        """Say a phrase; it is part of the conversation, as any reply."""
        audio = self._audio.get(text)
        if audio is None and not _can_speak(session):
            asked = f"Say exactly this, and nothing else: {text}"
            return session.generate_reply(
                instructions=asked, allow_interruptions=allow_interruptions
            )
        return session.say(
            text,
            audio=NOT_GIVEN if audio is None else _stream(audio),
            allow_interruptions=allow_interruptions,
        )


def _can_speak(session: AgentSession[None]) -> bool:
    """Whether the session speaks texts itself; most realtime models only answer."""
    model = session.llm
    return session.tts is not None or (
        isinstance(model, llm.RealtimeModel) and model.capabilities.supports_say
    )


async def _stream(audio: rtc.AudioFrame) -> AsyncGenerator[rtc.AudioFrame, None]:
    for piece in in_pieces(audio):
        yield piece
