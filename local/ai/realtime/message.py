"""A message of the model: words, and the speech that says them."""

import asyncio
import base64
import math
import re

from local.ai import script as scripts
from local.ai.realtime.conversation import ASSISTANT_MS, Tokens
from local.ai.realtime.output import Output
from local.ai.script import Answer
from local.ai.speech import Speech
from local.ai.speech_model import RATE

# Speech is sent faster than it is heard, and yet so that a response can be cut short.
_TIMES_REAL_TIME = 4
_BYTES_S = RATE * 2


class Message:
    """Begins with ``open``; ends with ``close``, whether all of it was said or not."""

    def __init__(self, output: Output, *, audio: bool) -> None:
        self._output = output
        self._audio = audio
        self._text = ""
        self._bytes = 0
        self._begin_s = 0.0

    async def open(self) -> None:
        """Tell that a message begins."""
        self._item = await self._output.add({"type": "message", "role": "assistant", "content": []})
        self._place = {"item_id": self._item["id"], "content_index": 0}
        await self._output.send("content_part.added", **self._place, part=self._part())

    async def speak(self, answer: Answer, speech: Speech, speed: float) -> None:
        """Send the words and the speech, sentence by sentence."""
        delta = "output_audio_transcript.delta" if self._audio else "output_text.delta"
        for sentence in re.findall(r".+?(?:[.!?]+(?=\s)|$)", answer.text, re.DOTALL):
            for word in scripts.pieces(sentence):
                await self._output.piece(Tokens(text=1))
                self._text += word
                await self._output.send(delta, **self._place, delta=word)
                await asyncio.sleep(answer.pause_s)
            if self._audio and sentence.strip():
                async for part in speech.speak(sentence, speed):
                    await self._play(part)

    async def close(self, status: str) -> None:
        """Tell that the message ends, and what of it was sent."""
        if self._audio:
            await self._output.send("output_audio.done", **self._place)
            await self._output.send(
                "output_audio_transcript.done", **self._place, transcript=self._text
            )
            self._item["content"] = [{"type": "output_audio", "transcript": self._text}]
        else:
            await self._output.send("output_text.done", **self._place, text=self._text)
            self._item["content"] = [{"type": "output_text", "text": self._text}]
        await self._output.send("content_part.done", **self._place, part=self._part())
        await self._output.done(self._item, status)

    async def _play(self, part: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if not self._bytes:
            self._begin_s = now
        ahead_s = self._bytes / _BYTES_S / _TIMES_REAL_TIME - (now - self._begin_s)
        await asyncio.sleep(max(0.0, ahead_s))
        more = _tokens(self._bytes + len(part)) - _tokens(self._bytes)
        await self._output.piece(Tokens(audio=more))
        self._bytes += len(part)
        self._output.spoken(self._item, self._bytes * 1000 // _BYTES_S)
        delta = base64.b64encode(part).decode()
        await self._output.send("output_audio.delta", **self._place, delta=delta)

    def _part(self) -> dict[str, str]:
        if self._audio:
            return {"type": "audio", "transcript": self._text}
        return {"type": "text", "text": self._text}


def _tokens(size: int) -> int:
    """Tokens of so many bytes of speech."""
    return math.ceil(size * 1000 // _BYTES_S / ASSISTANT_MS)
