"""POST /v1/audio/speech: text to speech, sent as it is made."""

import asyncio
import base64
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

from aiohttp import web

from local.ai.bill import Bill, BillLine
from local.ai.current import Current
from local.ai.encode import CONTENT_TYPES, encode
from local.ai.faults import Empty, Fault
from local.ai.faulty import Stream, begin
from local.ai.models import Models
from local.ai.protocol import ApiError, new_id, read_json, send_event
from local.ai.speech_model import RATE, Samples

# OpenAI bills speech at about this rate.
_TOKENS_PER_S = 20
_PIECE = RATE * 2 // 5  # bytes: 0.2 s of pcm
_SLOWEST, _FASTEST = 0.25, 4.0


class Speech:
    """The endpoint over a speech model."""

    def __init__(self, models: Models, current: Current, bill: Bill) -> None:
        self._models = models
        self._current = current
        self._bill = bill

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await read_json(request)
        text, audio_format, speed = _checked(body)
        fault = self._current.fault("tts", text)
        await begin(request, fault)
        line = self._bill.line(new_id("speech"), "tts", characters=len(text))
        spoken = _Counted(self._samples(text, speed))
        audio = self._in_thread(encode(spoken, audio_format))
        if isinstance(fault, Empty):
            audio = _nothing()
        if body.get("stream_format") == "sse":
            return await _send_events(request, audio, text, spoken, line, fault)
        response = Stream(request, fault, {"Content-Type": CONTENT_TYPES[audio_format]})
        await response.prepare(request)
        async for part in audio:
            await response.write(part)
        line.finished = True
        return response

    def speak(self, text: str, speed: float = 1.0) -> AsyncIterator[bytes]:
        """Speak to somebody else than a client: 24 kHz, mono, 16 bit, in pieces of 0.2 s."""
        return self._in_thread(encode(self._samples(text, speed), "pcm"))

    def _samples(self, text: str, speed: float) -> Iterator[Samples]:
        return self._models.voice(self._current.script).speak(text, speed)

    async def _in_thread(self, audio: Iterator[bytes]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        speaking = self._models.speaking
        while (part := await loop.run_in_executor(speaking, next, audio, None)) is not None:
            for start in range(0, len(part), _PIECE):
                yield part[start : start + _PIECE]


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


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


async def _send_events(  # noqa: PLR0913, PLR0917 - an answer and all that is counted of it
    request: web.Request,
    audio: AsyncIterator[bytes],
    text: str,
    spoken: _Counted,
    line: BillLine,
    fault: Fault | None,
) -> web.StreamResponse:
    """Send the audio inside events; the last one tells the tokens (a word of input is one)."""
    response = Stream(request, fault, {"Content-Type": "text/event-stream"})
    await response.prepare(request)
    async for part in audio:
        delta = base64.b64encode(part).decode()
        await send_event(response, {"type": "speech.audio.delta", "audio": delta})
    words = len(text.split())
    tokens = math.ceil(spoken.count / RATE * _TOKENS_PER_S)
    line.prompt_tokens, line.completion_tokens, line.finished = words, tokens, True
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
