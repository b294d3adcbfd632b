"""The input audio buffer: what the caller says becomes items of the conversation."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from local.ai.faults import Cut, Empty, Fail, Fault, Slow, Stall
from local.ai.faulty import failure, stall
from local.ai.protocol import new_id
from local.ai.realtime.channel import Channel, EventError
from local.ai.realtime.config import Config
from local.ai.realtime.conversation import USER_MS, Conversation, Item
from local.ai.realtime.engine import Engine
from local.ai.realtime.vad import Vad
from local.ai.script import count_words
from local.ai.speech_model import RATE

BYTES_MS = RATE * 2 // 1000
_SHORTEST_MS = 100
_LONGEST_MS = 600_000  # a client that never commits must not fill the memory
_ONSET_MARGIN_MS = 200  # speech is noticed a little after it began


class Ear:
    """Finds turns in the audio, and has them transcribed.

    ``on_start`` is called when the caller begins to speak, ``on_turn`` when a turn ended.
    """

    def __init__(
        self,
        channel: Channel,
        config: Config,
        conversation: Conversation,
        engine: Engine,
    ) -> None:
        self._channel = channel
        self._config = config
        self._conversation = conversation
        self._engine = engine
        self._vad = Vad()
        self._buffer = bytearray()
        self._item_id = new_id("item")
        self._hearing: set[asyncio.Task[None]] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self.on_start: Callable[[], Awaitable[None]]
        self.on_turn: Callable[[], Awaitable[None]]

    def configure(self) -> None:
        """Take over the session's turn detection."""
        if self._config.turn_detection is None:
            self._vad.reset()
        else:
            self._vad.configure(self._config.turn_detection)

    async def append(self, encoded: str) -> None:
        """Take more audio.

        Raises:
            EventError: It is not base64 of 16 bit samples.
        """
        audio = decode_audio(encoded)
        self._buffer += audio
        if self._config.turn_detection is None:
            del self._buffer[: -_LONGEST_MS * BYTES_MS]
            return
        for edge in self._vad.push(np.frombuffer(audio, np.int16)):
            if edge.kind == "start":
                await self._channel.send(
                    "input_audio_buffer.speech_started",
                    audio_start_ms=edge.at_ms,
                    item_id=self._item_id,
                )
                await self.on_start()
            else:
                await self._channel.send(
                    "input_audio_buffer.speech_stopped",
                    audio_end_ms=edge.at_ms,
                    item_id=self._item_id,
                )
                await self.commit()
                await self.on_turn()
        if not self._vad.speaking:
            del self._buffer[: -(self._vad.prefix_ms + _ONSET_MARGIN_MS) * BYTES_MS]

    async def commit(self) -> None:
        """Make an item of the audio so far.

        Raises:
            EventError: It is too short.
        """
        length_ms = len(self._buffer) // BYTES_MS
        if length_ms < _SHORTEST_MS:
            raise EventError(
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{_SHORTEST_MS}ms of audio, but buffer only has {length_ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        audio, item_id = bytes(self._buffer), self._item_id
        self._forget()
        content = [{"type": "input_audio", "transcript": None}]
        given = {"id": item_id, "type": "message", "role": "user", "content": content}
        item = self._conversation.create(given)
        before = self._conversation.insert(item)
        self._conversation.set_audio(item_id, length_ms)
        await self._channel.send(
            "input_audio_buffer.committed", previous_item_id=before, item_id=item_id
        )
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self._channel.send(kind, previous_item_id=before, item=item)
        self.hear(item, audio)

    async def clear(self) -> None:
        """Throw the audio away."""
        self._forget()
        await self._channel.send("input_audio_buffer.cleared")

    def hear(self, item: Item, audio: bytes) -> None:
        """Begin to transcribe the speech of an item."""
        task = asyncio.create_task(self._hear(item, audio))
        self._hearing.add(task)
        task.add_done_callback(self._hearing.discard)

    async def all_heard(self) -> None:
        """Wait until every item has its words."""
        # Shielded: a response that is cut while it waits cuts nobody's transcription.
        await asyncio.gather(*(asyncio.shield(task) for task in self._hearing))

    async def close(self) -> None:
        """Stop."""
        tasks = [*self._hearing, *self._telling]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self) -> None:
        self._buffer.clear()
        self._vad.reset()
        self._item_id = new_id("item")

    async def _hear(self, item: Item, audio: bytes) -> None:
        text = await self._engine.hear(audio)
        (part,) = (part for part in item["content"] if part["type"] == "input_audio")
        part["transcript"] = text
        if self._config.transcription is not None:
            # Told aside: what the model heard does not wait for what the client is told.
            fault = self._engine.current.fault("stt")
            telling = asyncio.create_task(self._tell(item, text, len(audio) // BYTES_MS, fault))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def _tell(self, item: Item, text: str, length_ms: int, fault: Fault | None) -> None:
        event = "conversation.item.input_audio_transcription"
        place = {"item_id": item["id"], "content_index": 0}
        match fault:
            case Fail():
                error = failure(fault).as_json()
                await self._channel.send(f"{event}.failed", **place, error=error)
                return
            case Empty():
                text = ""
        usage = _usage(str((self._config.transcription or {}).get("model")), length_ms, text)
        event_id = new_id("event")
        self._charge(event_id, usage)
        match fault:
            case Stall():
                await stall()
            case Cut():
                await self._channel.cut()
            case Slow():
                await asyncio.sleep(fault.delay_s)
        if text:
            await self._channel.send(f"{event}.delta", **place, delta=text)
        done = {"event_id": event_id, "transcript": text, "usage": usage}
        await self._channel.send(f"{event}.completed", **place, **done)

    def _charge(self, event_id: str, usage: dict[str, Any]) -> None:
        line = self._engine.bill.line(event_id, "stt")
        line.finished = True
        if usage["type"] == "duration":
            line.audio_ms = round(usage["seconds"] * 1000)
            return
        line.prompt_tokens = line.prompt_audio_tokens = usage["input_tokens"]
        line.completion_tokens = usage["output_tokens"]


def decode_audio(encoded: str) -> bytes:
    """Samples out of base64.

    Raises:
        EventError: It is none.
    """
    try:
        audio = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise EventError("Invalid 'audio'. Expected base64.", code="invalid_value") from error
    if len(audio) % 2:
        raise EventError("Invalid 'audio'. Expected 16 bit samples.", code="invalid_value")
    return audio


def _usage(model: str, length_ms: int, text: str) -> dict[str, Any]:
    """Whisper is paid by time, its successors by tokens."""
    if model.startswith("whisper"):
        return {"type": "duration", "seconds": length_ms / 1000}
    heard, said = -(-length_ms // USER_MS), count_words(text)
    return {
        "type": "tokens",
        "input_tokens": heard,
        "output_tokens": said,
        "total_tokens": heard + said,
        "input_token_details": {"audio_tokens": heard, "text_tokens": 0},
    }
