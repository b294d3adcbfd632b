"""What a session runs on: the same models as the other endpoints."""

from dataclasses import dataclass

from local.ai.bill import Bill
from local.ai.chat import Chat
from local.ai.current import Current
from local.ai.speech import Speech
from local.ai.transcribe import Transcription


@dataclass(frozen=True)
class Engine:
    """Whisper, the script or the local language model, Piper; the faults and the bill."""

    transcription: Transcription
    chat: Chat
    speech: Speech
    current: Current
    bill: Bill

    async def hear(self, audio: bytes) -> str:
        """The words of some speech (24 kHz, mono, 16 bit)."""
        segments = await self.transcription.hear_speech(audio)
        return "".join(segment.text for segment in segments).strip()
