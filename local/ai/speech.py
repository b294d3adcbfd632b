"""POST /v1/audio/speech: text to speech, sent as it is made."""

import asyncio
import base64
import math
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from typing import Any

from aiohttp import web

from local.ai.encode import CONTENT_TYPES, encode
from local.ai.protocol import ApiError, new_id, open_event_stream, read_json, send_event
from local.ai.speech_model import RATE, Samples, SpeechModel

# OpenAI bills speech at about this rate.
_TOKENS_PER_S = 20
_SLOWEST, _FASTEST = 0.25, 4.0


class Speech:
    """The endpoint over a speech model."""

    def __init__(self, model: SpeechModel, executor: Executor) -> None:
        self._model = model
        self._executor = executor

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await read_json(request)
        text, audio_format, speed = _checked(body)
        spoken = _Counted(self._model.speak(text, speed))
        audio = self._in_thread(encode(spoken, audio_format))
        if body.get("stream_format") == "sse":
            return await _send_events(request, audio, text, spoken)
        response = web.StreamResponse(
            headers={"Content-Type": CONTENT_TYPES[audio_format], "x-request-id": new_id("req")}
        )
        await response.prepare(request)
        async for part in audio:
            await response.write(part)
        return response

    async def warm(self) -> None:
        """Speak a word to nobody."""
        async for _ in self._in_thread(encode(self._model.speak("Hello.", 1.0), "pcm")):
            pass

    async def _in_thread(self, audio: Iterator[bytes]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while (part := await loop.run_in_executor(self._executor, next, audio, None)) is not None:
            if part:
                yield part


class _Counted:
    """Passes samples on and counts them."""

    def __init__(self, pieces: Iterator[Samples]) -> None:
        self._pieces = pieces
        self.count = 0

    def __iter__(self) -> Iterator[Samples]:
        return self

    def __next__(self) -> Samples:
        piece = next(self._pieces)
        self.count += len(piece)
        return piece


async def _send_events(
    request: web.Request, audio: AsyncIterator[bytes], text: str, spoken: _Counted
) -> web.StreamResponse:
    """Send the audio inside events; the last one tells the tokens (a word of input is one)."""
    response = await open_event_stream(request)
    async for part in audio:
        delta = base64.b64encode(part).decode()
        await send_event(response, {"type": "speech.audio.delta", "audio": delta})
    words = len(text.split())
    tokens = math.ceil(spoken.count / RATE * _TOKENS_PER_S)
    usage = {"input_tokens": words, "output_tokens": tokens, "total_tokens": words + tokens}
    await send_event(response, {"type": "speech.audio.done", "usage": usage})
    return response


def _checked(body: dict[str, Any]) -> tuple[str, str, float]:
    text = body.get("input")
    if not isinstance(text, str) or not text.strip():
        raise ApiError("'input' must be a text that is not empty", param="input")
    audio_format = body.get("response_format", "mp3")
    if audio_format not in CONTENT_TYPES:
        raise ApiError(
            f"'response_format' must be one of {', '.join(CONTENT_TYPES)}", param="response_format"
        )
    speed = body.get("speed", 1.0)
    if not isinstance(speed, int | float) or not _SLOWEST <= speed <= _FASTEST:
        raise ApiError(f"'speed' must lie between {_SLOWEST} and {_FASTEST}", param="speed")
    return text, audio_format, float(speed)
