"""The models of the server, each loaded and warmed when a script first needs it."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from aiohttp import web

from local.ai.llama import LlamaChat
from local.ai.script import Script
from local.ai.speech_model import Piper, SpeechModel, Tone
from local.ai.transcribe_model import RATE, Whisper

# One at a time of each kind: two at once on two cores would both be late.
_WORKERS_EACH = 1


class Models:
    """Whisper, SmolLM2 and Piper, with the threads that they run in.

    A model is there from the first script on that needs it, and stays.
    """

    llama: LlamaChat
    whisper: Whisper
    piper: Piper

    def __init__(self) -> None:
        self.hearing, self.speaking = (ThreadPoolExecutor(_WORKERS_EACH) for _ in range(2))
        self._loading = asyncio.Lock()

    async def prepare(self, script: Script) -> None:
        """Load what the script needs, side by side.

        Raises:
            SettingsError: A model is not installed.
        """
        loaders: dict[str, tuple[bool, Callable[[], Awaitable[None]]]] = {
            "llama": (script.llm == "local", self._load_llama),
            "whisper": (script.stt is None, self._load_whisper),
            "piper": (script.tts is None, self._load_piper),
        }
        async with self._loading:
            await asyncio.gather(
                *(
                    load()
                    for name, (needed, load) in loaders.items()
                    if needed and not hasattr(self, name)
                )
            )

    def voice(self, script: Script) -> SpeechModel:
        """The voice of a script that was prepared."""
        return Tone() if script.tts == "tone" else self.piper

    async def close(self, _app: web.Application) -> None:
        """Close connections."""
        if hasattr(self, "llama"):
            await self.llama.close()

    async def _load_llama(self) -> None:
        llama = await asyncio.to_thread(LlamaChat)
        await llama.open()
        self.llama = llama

    async def _load_whisper(self) -> None:
        whisper = await asyncio.to_thread(Whisper)
        await asyncio.to_thread(whisper.recognise, np.zeros(RATE // 10, np.float32))
        self.whisper = whisper

    async def _load_piper(self) -> None:
        piper = await asyncio.to_thread(Piper)
        await asyncio.to_thread(lambda: list(piper.speak("Hello.", 1.0)))
        self.piper = piper
