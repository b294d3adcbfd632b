"""GET /v1/realtime: one session on one WebSocket."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from local.ai.faulty import begin
from local.ai.realtime.channel import Channel, EventError, field
from local.ai.realtime.config import Config
from local.ai.realtime.conversation import Conversation
from local.ai.realtime.ear import BYTES_MS, Ear, decode_audio
from local.ai.realtime.engine import Engine
from local.ai.realtime.responder import Responder

_MAX_MESSAGE = 16 * 1024 * 1024

Event = dict[str, Any]


class Realtime:
    """The endpoint."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Hold a session until the client leaves."""
        await begin(request, self._engine.current.fault("connect"))
        socket = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, compress=False)
        await socket.prepare(request)
        channel = Channel(request, socket)
        session = Session(channel, self._engine, request.query.get("model", "gpt-realtime"))
        try:
            await session.open()
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await session.receive(message.data)
        finally:
            await session.close()
        return socket


class Session:
    """Does what the client's events ask for, one after the other."""

    def __init__(self, channel: Channel, engine: Engine, model: str) -> None:
        self._channel = channel
        self._config = Config(model)
        self._conversation = Conversation()
        self._ear = Ear(channel, self._config, self._conversation, engine)
        self._responder = Responder(channel, self._config, self._conversation, engine, self._ear)
        self._ear.on_start = self._speech_started
        self._ear.on_turn = self._turn_ended
        self._handlers: dict[str, Callable[[Event], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.truncate": self._truncate,
            "conversation.item.delete": self._delete,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    async def open(self) -> None:
        """Greet the client."""
        await self._channel.send("session.created", session=self._config.as_json())

    async def close(self) -> None:
        """Stop what is under way."""
        await self._responder.close()
        await self._ear.close()

    async def receive(self, text: str) -> None:
        """Handle one event; a wrong one is told to the client."""
        event_id = None
        try:
            event = _parse(text)
            event_id = event.get("event_id")
            await self._handler(event)(event)
        except EventError as error:
            await self._channel.error(error, event_id)

    def _handler(self, event: Event) -> Callable[[Event], Awaitable[None]]:
        kind = field(event, "type", str)
        if kind not in self._handlers:
            known = ", ".join(f"'{name}'" for name in self._handlers)
            raise EventError(
                f"Invalid value: '{kind}'. Supported values are: {known}.",
                code="invalid_value",
                param="type",
            )
        return self._handlers[kind]

    async def _speech_started(self) -> None:
        detection = self._config.turn_detection
        if detection and detection["interrupt_response"]:
            await self._responder.cancel("turn_detected")

    async def _turn_ended(self) -> None:
        detection = self._config.turn_detection
        if detection and detection["create_response"] and not self._responder.busy:
            await self._responder.respond({})

    async def _update(self, event: Event) -> None:
        self._config.update(field(event, "session", dict))
        self._ear.configure()
        await self._channel.send("session.updated", session=self._config.as_json())

    async def _append(self, event: Event) -> None:
        await self._ear.append(field(event, "audio", str))

    async def _commit(self, _event: Event) -> None:
        await self._ear.commit()

    async def _clear(self, _event: Event) -> None:
        await self._ear.clear()

    async def _create(self, event: Event) -> None:
        item = self._conversation.create(field(event, "item", dict))
        speech = [part for part in item.get("content", ()) if part.get("type") == "input_audio"]
        audio = b"".join(decode_audio(part.pop("audio", None) or "") for part in speech)
        before = self._conversation.insert(item, event.get("previous_item_id"))
        if audio:
            self._conversation.set_audio(item["id"], len(audio) // BYTES_MS)
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self._channel.send(kind, previous_item_id=before, item=item)
        if audio and not any(part.get("transcript") for part in speech):
            self._ear.hear(item, audio)

    async def _retrieve(self, event: Event) -> None:
        item_id = field(event, "item_id", str)
        item = self._conversation.get(item_id, "item_retrieve_invalid_item_id")
        await self._channel.send("conversation.item.retrieved", item=item)

    async def _truncate(self, event: Event) -> None:
        item_id, end_ms = field(event, "item_id", str), field(event, "audio_end_ms", int)
        self._conversation.truncate(item_id, end_ms)
        await self._channel.send(
            "conversation.item.truncated",
            item_id=item_id,
            content_index=event.get("content_index", 0),
            audio_end_ms=end_ms,
        )

    async def _delete(self, event: Event) -> None:
        item_id = field(event, "item_id", str)
        self._conversation.delete(item_id)
        await self._channel.send("conversation.item.deleted", item_id=item_id)

    async def _respond(self, event: Event) -> None:
        await self._responder.respond(event.get("response") or {})

    async def _cancel(self, event: Event) -> None:
        if not await self._responder.cancel("client_cancelled", event.get("response_id")):
            raise EventError(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )


def _parse(text: str) -> Event:
    try:
        event = json.loads(text)
    except ValueError as error:
        raise EventError(f"The event is not JSON: {error}", code="invalid_json") from error
    if not isinstance(event, dict):
        raise EventError("The event is not a JSON object.", code="invalid_json")
    return event
