"""Text to speech and back through any OpenAI-compatible server."""

import asyncio
from typing import Self

import openai

from local.caller.errors import CallerError
from local.caller.sound import Samples, Sound, decode, encode_wav


class Voice:
    """The caller's text to speech and speech to text.

    Utterances are cached by their text for the life of the object.

    Args:
        base_url: The server's address, with /v1; None is OpenAI's own.
        api_key: Its key.
        speech_model: Name of the model that speaks.
        voice: Name of its voice.
        transcription_model: Name of the model that listens.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str,
        speech_model: str = "tts-1",
        voice: str = "alloy",
        transcription_model: str = "whisper-1",
    ) -> None:
        self._client = openai.AsyncOpenAI(base_url=base_url, api_key=api_key, timeout=30)
        self._speech_model = speech_model
        self._voice = voice
        self._transcription_model = transcription_model
        self._sounds: dict[str, asyncio.Task[Sound]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        tasks = list(self._sounds.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def speak(self, text: str) -> Sound:
        """Return the text as sound.

        Raises:
            CallerError: The server cannot be reached or refuses.
        """
        task = self._sounds.get(text)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._sounds[text] = asyncio.create_task(self._synthesize(text))
        return await asyncio.shield(task)

    async def _synthesize(self, text: str) -> Sound:
        try:
            response = await self._client.audio.speech.create(
                input=text, model=self._speech_model, voice=self._voice, response_format="wav"
            )
        except openai.OpenAIError as error:
            raise CallerError(f"no speech from {self._client.base_url}: {error}") from error
        return await asyncio.to_thread(decode, response.content)

    async def transcribe(self, samples: Samples) -> str:
        """Return what is said in the samples (RATE_HZ, mono); empty if there are none.

        Raises:
            CallerError: The server cannot be reached or refuses.
        """
        if len(samples) == 0:
            return ""
        try:
            response = await self._client.audio.transcriptions.create(
                file=("heard.wav", encode_wav(samples), "audio/wav"),
                model=self._transcription_model,
                language="en",
            )
        except openai.OpenAIError as error:
            raise CallerError(f"no transcript from {self._client.base_url}: {error}") from error
        return response.text.strip()
