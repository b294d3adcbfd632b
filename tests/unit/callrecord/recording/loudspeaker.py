"""An audio output whose playback a test steers, and an agent whose voice is silence."""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from livekit import rtc
from livekit.agents import Agent
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities

RATE = 16_000
SPEECH_S = 1.0
"""Length of each reply, spoken."""


def silence() -> rtc.AudioFrame:
    """Return `SPEECH_S` of it."""
    samples = int(RATE * SPEECH_S)
    return rtc.AudioFrame(bytes(2 * samples), RATE, 1, samples)


async def recording() -> AsyncGenerator[rtc.AudioFrame, None]:
    """Sound to say fixed words with."""
    yield silence()


class Speaker(Agent):
    """Says each reply as a second of silence."""

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: Any
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Return the sound of a text."""
        del model_settings
        async for _ in text:
            pass
        yield silence()


class Loudspeaker(AudioOutput):
    """Plays at once, or waits.

    Attributes:
        heard: If set, it waits: this is what is heard of a speech that is cut, in half a second.
    """

    def __init__(self, heard: str | None = None) -> None:
        super().__init__(
            label="test", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE
        )
        self.heard = heard
        self._captured_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Take sound."""
        await super().capture_frame(frame)
        if not self._captured_s:
            self.on_playback_started(created_at=0)
        self._captured_s += frame.duration

    def flush(self) -> None:
        """End a piece of speech."""
        super().flush()
        if self.heard is None:
            self._finish(self._captured_s, None)

    def clear_buffer(self) -> None:
        """Cut what is playing."""
        self._finish(0.5, self.heard)

    def _finish(self, seconds: float, cut: str | None) -> None:
        if self._captured_s:
            self._captured_s = 0.0
            self.on_playback_finished(
                playback_position=seconds,
                interrupted=cut is not None,
                synchronized_transcript=cut,
            )
