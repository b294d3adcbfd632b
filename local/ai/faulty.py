"""How a fault happens to an HTTP answer."""

import asyncio
from typing import Any, NoReturn

from aiohttp import web

from local.ai.faults import Cut, Fail, Fault, Slow, Stall
from local.ai.protocol import ApiError, new_id

# status -> type, code and message, as OpenAI words them
_OPENAI_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not supported."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def failure(fault: Fail) -> ApiError:
    """The error that OpenAI would answer with."""
    default = "invalid_request_error" if fault.status < 500 else "server_error"  # noqa: PLR2004
    kind, code, message = _OPENAI_ERRORS.get(fault.status, (default, None, "The request failed."))
    return ApiError(
        fault.message or message,
        status=fault.status,
        # Quota errors carry one word in both places; clients look at either.
        kind=fault.code if fault.code == "insufficient_quota" else kind,
        code=fault.code or code,
    )


async def begin(request: web.Request, fault: Fault | None) -> None:
    """Let happen what happens before any answer.

    Raises:
        ApiError: The fault is an error to answer with.
    """
    match fault:
        case Fail():
            raise failure(fault)
        case Stall(after=None):
            await stall()
        case Cut(after=0):
            await cut(request)
        case Slow():
            await asyncio.sleep(fault.delay_s)


async def stall() -> NoReturn:
    """Wait until the client goes away, or the server stops: either cancels the handler."""
    await asyncio.Event().wait()
    raise AssertionError("nobody sets this event")


async def cut(request: web.Request) -> NoReturn:
    """Close the connection under the answer; what was written before still arrives."""
    if request.transport is not None:
        request.transport.close()
    await stall()


class Stream(web.StreamResponse):
    """An answer in pieces, to which its fault happens on the way."""

    def __init__(self, request: web.Request, fault: Fault | None, headers: dict[str, str]) -> None:
        super().__init__(headers={"x-request-id": new_id("req")} | headers)
        self._request = request
        self._fault = fault
        self._pieces = 0

    async def write(self, data: Any) -> None:
        """Send one piece, or stop here."""
        match self._fault:
            case Stall(after=int(limit)) if self._pieces >= limit:
                await stall()
            case Cut(after=limit) if self._pieces >= limit:
                await cut(self._request)
        await super().write(data)
        self._pieces += 1
        if isinstance(self._fault, Slow):
            await asyncio.sleep(self._fault.pause_s)

    async def write_eof(self, data: bytes = b"") -> None:
        """End the answer; one shorter than its fault goes wrong here."""
        if isinstance(self._fault, Stall):
            await stall()
        if isinstance(self._fault, Cut):
            await cut(self._request)
        await super().write_eof(data)


async def send_whole(
    request: web.Request, body: bytes, fault: Fault | None, content_type: str = "application/json"
) -> web.StreamResponse:
    """Send an answer that is not streamed, in two halves."""
    response = Stream(request, fault, {"Content-Type": content_type})
    response.content_length = len(body)
    await response.prepare(request)
    half = len(body) // 2
    await response.write(body[:half])
    await response.write(body[half:])
    return response
