"""Last words: what callers hear before a call ends, even if its session has failed."""

import asyncio
from collections.abc import Callable

import structlog
from livekit import rtc
from livekit.agents import AgentSession

from agent.settings import Settings
from agent.speech.announce import announce
from agent.speech.phrases import Phrases
from callrecord.recording.recorder import Recorder

logger = structlog.get_logger("voice.last_words")

LAST_WORDS_TIMEOUT_S = 20.0


class LastWords:
    """Says the goodbye or the error message of one call."""

    def __init__(
        self, room: rtc.Room, settings: Settings, recorder: Recorder, phrases: Phrases
    ) -> None:
        self._room = room
        self._settings = settings
        self._recorder = recorder
        self._phrases = phrases
        self._said = False
        self._leaving: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether the last words have started, so that the call is about to end."""
        return self._leaving is not None

    def leave(self, session: AgentSession[None], message: str, end: Callable[[], None]) -> None:
        """Say last words that cannot be interrupted, then end the call; once."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(session, message, end))

    async def _leave(
        self, session: AgentSession[None], message: str, end: Callable[[], None]
    ) -> None:
        try:
            await self._say(session, message)
        finally:
            end()

    async def _say(self, session: AgentSession[None], message: str) -> None:
        # Wait for its end; a stalled speech ends by a time-out.
        try:
            speech = self._phrases.say(session, message, allow_interruptions=False)
            await asyncio.wait_for(speech.wait_for_playout(), LAST_WORDS_TIMEOUT_S)
            self._said = bool(speech.chat_items)
        except (RuntimeError, TimeoutError):  # the session is closing; the speech stalls
            logger.warning("last words not said in time", exc_info=True)

    async def unsaid_error(self) -> rtc.AudioFrame | None:
        """Return the error message's audio if no last words were said.

        The message is recorded here, because nothing is recorded after the end of a call.
        """
        if self._said or not self._room.isconnected():
            return None
        await self._phrases.load()
        text = self._settings.agent_error_message
        audio = self._phrases.audio(text)
        if audio is not None:
            self._recorder.turns.of_agent.announced(text, {"kind": "error"})
        return audio

    async def announce(self, audio: rtc.AudioFrame) -> None:
        """Play the audio to the room; a failure is only logged."""
        try:
            await announce(self._room, audio)
        except Exception:
            # The room must be closed even if this fails: nobody must stay there in silence.
            logger.warning("error message not played", exc_info=True)
