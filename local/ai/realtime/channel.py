"""The server's end of a WebSocket, and the errors it tells on it."""

import contextlib
import json
from typing import Any, NoReturn

from aiohttp import web

from local.ai.faulty import cut
from local.ai.protocol import new_id


class EventError(Exception):
    """A client's event that is refused; the session goes on."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Channel:
    """Sends events in OpenAI's form."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self._request = request
        self._socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event; into a connection that is closed, nothing."""
        if not self._socket.closed:
            event = {"type": kind, "event_id": new_id("event"), **fields}
            # A client may leave at any moment; the session ends where it is read from.
            with contextlib.suppress(ConnectionResetError):
                await self._socket.send_str(json.dumps(event))

    async def error(self, error: EventError, client_event_id: str | None) -> None:
        """Tell the client that an event of its was refused."""
        told = {
            "type": "invalid_request_error",
            "code": error.code,
            "message": str(error),
            "param": error.param,
            "event_id": client_event_id,
        }
        await self.send("error", error=told)

    async def cut(self) -> NoReturn:
        """Close the connection without a word."""
        await cut(self._request)


def field(event: dict[str, Any], name: str, kind: type[Any] | tuple[type[Any], ...]) -> Any:
    """A field that an event must have.

    Raises:
        EventError: It is missing, or of another type.
    """
    if name not in event:
        raise EventError(
            f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name
        )
    value = event[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise EventError(f"Invalid type for '{name}'.", code="invalid_type", param=name)
    return value
