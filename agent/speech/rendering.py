"""Rendering ahead: the worker synthesizes its messages before any call needs them."""

import asyncio
import contextlib
from collections.abc import Sequence

import structlog
from livekit.agents import utils

from agent.models.pipeline import prepare
from agent.persona import load_assistant
from agent.settings import Settings
from agent.speech.phrases import messages
from agent.speech.speech_cache import Speaker, SpeechCache, render, voice_of

logger = structlog.get_logger("voice.rendering")

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


class Rendering:
    """Renders missing messages in the background; it is safe to stop it twice or unstarted.

    No call waits for it: the model speaks missing messages in the call. If the model does not
    answer, it is called again, at longer and longer intervals.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the background task; returns at once."""
        self._task = asyncio.create_task(self._run(), name="rendering ahead")

    async def stop(self) -> None:
        """Stop, even in the middle of a message."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # as requested
                await task

    async def _run(self) -> None:
        try:
            parts = await asyncio.to_thread(prepare, self._settings)
            try:
                if parts.models.tts:
                    async with utils.http_context.open():
                        await self._render(parts.models.tts[0])
            finally:
                await parts.aclose()
        except Exception:
            logger.exception("messages are not rendered ahead: the model speaks them in each call")

    async def _render(self, model: Speaker) -> None:
        cache = SpeechCache(self._settings.agent_speech_cache_dir, voice_of(model))
        try:
            await asyncio.to_thread(cache.check)
        except OSError as error:
            logger.warning(
                "AGENT_SPEECH_CACHE_DIR is not writable: messages are spoken anew in each call",
                directory=str(cache.directory),
                error=str(error),
            )
            return
        await asyncio.to_thread(cache.sweep)
        texts = (*await _of_persona(), *messages(self._settings))
        pause_s = FIRST_PAUSE_S
        while not await self._rendered(model, cache, texts):
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _rendered(self, model: Speaker, cache: SpeechCache, texts: Sequence[str]) -> bool:
        """Render the missing messages. Return whether all of them exist now."""
        rendered = 0
        try:
            for text in texts:
                if await asyncio.to_thread(cache.read, text) is None:
                    await asyncio.to_thread(cache.keep, text, await render(model, text))
                    rendered += 1
        except Exception as error:  # noqa: BLE001 - any provider's error or a full disk: try again
            logger.warning("message not rendered, will try again", error=type(error).__name__)
            return False
        logger.info("messages rendered ahead", rendered=rendered)
        return True


async def _of_persona() -> Sequence[str]:
    """Return the persona's greeting and farewells, as far as they need no call."""
    try:
        # LiveKit requires the import in this thread; the persona is made in another one, as that
        # may take long.
        persona = await asyncio.to_thread(load_assistant())
    except Exception as error:  # noqa: BLE001 - a persona that only works within a call
        logger.info("persona's words not rendered ahead", error=type(error).__name__)
        return ()
    return (persona.greeting, *persona.farewells)
