"""Phrases: the fixed sentences of a call, such as its greeting.

A phrase that was rendered ahead (see `agent.speech.rendering`) is said at once, without the speech
model, which may be the part that is down. The model speaks everything else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TYPE_CHECKING

import structlog
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice import SpeechHandle

from agent.speech.speech_cache import Speaker, SpeechCache, in_pieces, render, voice_of
from callrecord.recording.current_models import models_of

if TYPE_CHECKING:
    from agent.settings import Settings

logger = structlog.get_logger("voice.phrases")


def messages(settings: "Settings") -> tuple[str, ...]:
    """Return the worker's own messages, the most important first."""
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
        settings: The settings with the worker's own messages.
        model: The model whose voice callers hear: the first one of several providers. A message
            that the second one spoke must not be kept as the voice of the first.
    """

    def __init__(self, settings: "Settings", model: Speaker | None) -> None:
        self._settings = settings
        self._model = model
        self._audio: dict[str, rtc.AudioFrame] = {}
        self._saying = False
        self._spoken: set[str] = set()
        self._leaving = False

    @property
    def leaving(self) -> bool:
        """Whether the phrase that ends the call has started."""
        return self._leaving

    async def load(self, *texts: str) -> None:
        """Read the phrases that were rendered ahead from disk; the model speaks the others.

        Args:
            texts: Phrases in addition to the worker's own messages, such as a greeting.
        """
        if self._model is None:
            return
        try:
            cache = SpeechCache(self._settings.agent_speech_cache_dir, voice_of(self._model))
            await asyncio.to_thread(self._read, cache, (*texts, *messages(self._settings)))
        except Exception:
            # A failing disk must not end a call.
            logger.warning("messages rendered ahead not read", exc_info=True)

    def _read(self, cache: SpeechCache, texts: Iterable[str]) -> None:
        for text in texts:
            if text not in self._audio and (audio := cache.read(text)) is not None:
                self._audio[text] = audio

    async def complete(self) -> None:
        """Render missing messages for this call, in case the disk does not have them.

        The greeting is not included: it may name the caller, and was said already.
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
        """Say a phrase; it is part of the conversation, like any reply.

        Raises:
            RuntimeError: The session does not run.
        """
        self._saying = True
        try:
            speech = self._say(session, text, allow_interruptions=allow_interruptions)
        finally:
            self._saying = False
        self._spoken.add(speech.id)
        return speech

    def _say(
        self, session: AgentSession[None], text: str, *, allow_interruptions: bool
    ) -> SpeechHandle:
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

    def say_last(self, session: AgentSession[None], text: str, then: Callable[[], None]) -> None:
        """Say a phrase that may not be interrupted, then call `then`, even if nobody heard it.

        Returns at once.
        """
        self._leaving = True
        try:
            speech = self.say(session, text, allow_interruptions=False)
        except RuntimeError:
            logger.info("session closing, farewell not said")
            then()
        else:
            speech.add_done_callback(lambda _: then())

    def spoken(self, speech: SpeechHandle) -> bool:
        """Whether a speech is one of these phrases, rendered ahead or spoken by a model."""
        return self._saying or speech.id in self._spoken  # LiveKit reports it before we have its id

    def needs(self, session: AgentSession[None], text: str) -> str | None:
        """Return the part that must work for a phrase to be heard, as LiveKit's errors name it.

        None if the phrase was rendered ahead.
        """
        if text in self._audio:
            return None
        return models_of(session).voice


def _can_speak(session: AgentSession[None]) -> bool:
    """Whether the session can speak a given text; most realtime models only answer."""
    models = models_of(session)
    return models.tts is not None or (
        models.realtime is not None and models.realtime.capabilities.supports_say
    )


async def _stream(audio: rtc.AudioFrame) -> AsyncGenerator[rtc.AudioFrame, None]:
    for piece in in_pieces(audio):
        yield piece
