"""Samples to the audio formats of OpenAI's speech endpoint, as a stream."""

import io
import struct
from collections.abc import Iterator
from typing import cast

import av

from local.ai.speech_model import RATE, Samples

CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
# format -> PyAV's container, codec, and the codec's sample format
_CODECS = {
    "mp3": ("mp3", "libmp3lame", "s16p"),
    "opus": ("ogg", "libopus", "s16"),
    "aac": ("adts", "aac", "fltp"),
    "flac": ("flac", "flac", "s16"),
}
_UNKNOWN_SIZE = 0xFFFFFFFF


def encode(pieces: Iterator[Samples], audio_format: str) -> Iterator[bytes]:
    """Yield bytes in ``audio_format`` (a key of CONTENT_TYPES) as the pieces come."""
    if audio_format in _CODECS:
        yield from _encode_with_av(pieces, audio_format)
        return
    if audio_format == "wav":
        yield _wav_header()
    for piece in pieces:
        yield piece.tobytes()


def _wav_header() -> bytes:
    """A header of unknown length, as OpenAI streams it."""
    layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16)
    riff = struct.pack("<4sI4s", b"RIFF", _UNKNOWN_SIZE, b"WAVE")
    return riff + layout + struct.pack("<4sI", b"data", _UNKNOWN_SIZE)


def _encode_with_av(pieces: Iterator[Samples], audio_format: str) -> Iterator[bytes]:
    container_name, codec, sample_format = _CODECS[audio_format]
    buffer = _Outlet()
    options = {"flush_packets": "1", "page_duration": "200000"}
    with av.open(buffer, "w", format=container_name, options=options) as container:
        stream = cast("av.AudioStream", container.add_stream(codec, rate=RATE, layout="mono"))
        stream.format = sample_format
        resampler = av.AudioResampler(
            format=sample_format, layout="mono", rate=RATE, frame_size=_frame_size(stream)
        )
        for piece in pieces:
            frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = RATE
            for part in resampler.resample(frame):
                container.mux(stream.encode(part))
            yield buffer.take()
        for part in resampler.resample(None):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    yield buffer.take()


def _frame_size(stream: av.AudioStream) -> int | None:
    stream.codec_context.open(strict=False)
    return stream.codec_context.frame_size or None


class _Outlet(io.RawIOBase):
    """A file that only grows at its end, whose new bytes are taken out as they come.

    It cannot seek: so the muxers write formats that need not be patched at the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._bytes += data
        return len(data)

    def take(self) -> bytes:
        """The bytes written since the last call."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
