"""POST /v1/audio/transcriptions: speech to text."""

import asyncio
import io
import json
import math
from typing import Any

import av
import numpy as np
from aiohttp import web

from local.ai.bill import Bill
from local.ai.current import Current
from local.ai.faults import Empty
from local.ai.faulty import begin, send_whole
from local.ai.models import Models
from local.ai.protocol import ApiError, new_id
from local.ai.speech_model import RATE as SPEECH_RATE
from local.ai.transcribe_model import RATE, Audio, Segment

_FORMATS = ("json", "verbose_json", "text")


class Transcription:
    """The endpoint over a recogniser."""

    def __init__(self, models: Models, current: Current, bill: Bill) -> None:
        self._models = models
        self._current = current
        self._bill = bill

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        form = await request.post()
        file = form.get("file")
        if not isinstance(file, web.FileField):
            raise ApiError("'file' must be an audio file", param="file")
        shape = str(form.get("response_format", "json"))
        if shape not in _FORMATS:
            raise ApiError(
                f"'response_format' must be one of {', '.join(_FORMATS)}", param="response_format"
            )
        fault = self._current.fault("stt")
        await begin(request, fault)
        loop = asyncio.get_running_loop()
        audio = await loop.run_in_executor(self._models.hearing, _decode, file.file.read())
        line = self._bill.line(new_id("transcription"), "stt")
        line.audio_ms = round(len(audio) / RATE * 1000)
        segments = [] if isinstance(fault, Empty) else await self.hear(audio)
        line.finished = True
        body, content_type = _body(shape, len(audio) / RATE, segments)
        return await send_whole(request, body, fault, content_type)

    async def hear_speech(self, pcm: bytes) -> list[Segment]:
        """Transcribe 24 kHz, mono, 16 bit."""
        loop = asyncio.get_running_loop()
        return await self.hear(await loop.run_in_executor(self._models.hearing, _resample, pcm))

    async def hear(self, audio: Audio) -> list[Segment]:
        """Transcribe samples, or give out the next prepared transcript."""
        recogniser = self._current.transcripts or self._models.whisper
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._models.hearing, recogniser.recognise, audio)


def _decode(data: bytes) -> Audio:
    """Any audio file to Whisper's samples.

    Raises:
        ApiError: It is not an audio file.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    try:
        with av.open(io.BytesIO(data), "r") as container:
            frames = [
                part for frame in container.decode(audio=0) for part in resampler.resample(frame)
            ]
        frames += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise ApiError("'file' is not audio in a known format", param="file") from error
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _resample(pcm: bytes) -> Audio:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    samples = np.frombuffer(pcm, np.int16).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = SPEECH_RATE
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([part.to_ndarray().reshape(-1) for part in parts])


def _body(shape: str, seconds: float, segments: list[Segment]) -> tuple[bytes, str]:
    """The body of the answer and its content type."""
    text = "".join(segment.text for segment in segments).strip()
    if shape == "text":
        return f"{text}\n".encode(), "text/plain"
    usage = {"type": "duration", "seconds": math.ceil(seconds)}
    answer: dict[str, Any] = {"text": text, "usage": usage}
    if shape == "verbose_json":
        answer |= _details(seconds, segments)
    return json.dumps(answer).encode(), "application/json"


def _details(seconds: float, segments: list[Segment]) -> dict[str, Any]:
    listed = [
        {"id": number, "start": segment.start, "end": segment.end, "text": segment.text}
        for number, segment in enumerate(segments)
    ]
    return {"task": "transcribe", "language": "english", "duration": seconds, "segments": listed}
