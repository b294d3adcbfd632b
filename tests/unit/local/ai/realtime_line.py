"""A client's end of a Realtime session, and looks at what came."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import openai
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
REPLY = "It is sunny. Take a hat."
LONG = "word " * 60
FAST: dict[str, Any] = {
    "rules": [
        {"match": "weather", "reply": REPLY},
        {"match": "story", "reply": LONG},
        {
            "match": "order",
            "reply": None,
            "tool_call": {"name": "look_up", "arguments": {"order": 7}},
            "after_tool": "It is on its way.",
        },
    ],
    "tts": "tone",
    "stt": ["what is the weather"] * 20,
}
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
BY_HAND = {"audio": {"input": {"turn_detection": None}}}
IN_TEXT = {"output_modalities": ["text"]}
DELTAS = {
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_text.delta",
}


class Line:
    """A client's end of a session; keeps what came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event."""
        await self.socket.send_str(json.dumps({"type": kind} | fields))

    async def next(self) -> dict[str, Any]:
        """The next event, which must be as OpenAI describes it."""
        event: dict[str, Any] = await self.socket.receive_json(timeout=5)
        EVENTS.validate_python(event)
        return event

    async def until(self, *kinds: str) -> list[dict[str, Any]]:
        """Every event up to the first of a kind."""
        events = [await self.next()]
        while events[-1]["type"] not in kinds:
            events.append(await self.next())
        return events

    async def ask(self, text: str, **params: Any) -> list[dict[str, Any]]:
        """Say a text and hear the whole response."""
        await self.say(text)
        await self.send("response.create", response=params)
        return await self.until("response.done", "error")

    async def say(self, text: str) -> None:
        """Put a text of the caller into the conversation."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)
        await self.until("conversation.item.done")

    async def speak(self, seconds: float = 0.5) -> None:
        """A tone, and then the silence that ends a turn."""
        for length, loud in ((seconds, True), (0.7, False)):
            for _ in range(round(length * 10)):
                await self.send("input_audio_buffer.append", audio=tone(0.1, loud=loud))

    async def refused(self) -> dict[str, Any]:
        """The next error."""
        error: dict[str, Any] = (await self.until("error"))[-1]["error"]
        return error


@asynccontextmanager
async def session(client: openai.AsyncOpenAI, *updates: dict[str, Any]) -> AsyncIterator[Line]:
    """An open session, updated."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{client.base_url}realtime?model=gpt-realtime") as socket,
    ):
        line = Line(socket)
        assert (await line.next())["type"] == "session.created"
        for update in updates:
            await line.send("session.update", session={"type": "realtime"} | update)
            assert (await line.next())["type"] == "session.updated"
        yield line


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The kinds of the events; deltas that follow each other are one."""
    kinds = [event["type"] for event in events]
    return [
        kind
        for before, kind in zip([None, *kinds], kinds, strict=False)
        if kind != before or kind not in DELTAS
    ]


def only(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one event of a kind."""
    (event,) = [event for event in events if event["type"] == kind]
    return event


def said(events: list[dict[str, Any]], kind: str = "response.output_audio_transcript.delta") -> str:
    """The words of a response."""
    return "".join(event["delta"] for event in events if event["type"] == kind)


def sound(events: list[dict[str, Any]]) -> bytes:
    """The speech of a response: 24 kHz, mono, 16 bit."""
    deltas = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


def tone(seconds: float, *, loud: bool) -> str:
    """A tone, or silence, as a client sends it."""
    wave = np.sin(np.arange(round(seconds * 24_000)) / 10) * (8_000 if loud else 0)
    return base64.b64encode(wave.astype(np.int16).tobytes()).decode()
