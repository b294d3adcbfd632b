"""The shapes of OpenAI's API that more than one endpoint uses."""

import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """An error to answer a request with."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        kind: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        default = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004
        self.kind = kind or default
        self.code = code

    def as_json(self) -> dict[str, Any]:
        """The ``error`` object, in the shape OpenAI's clients parse."""
        return {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}

    def response(self) -> web.Response:
        """The answer to a request."""
        return web.json_response({"error": self.as_json()}, status=self.status)


@web.middleware
async def openai_manners(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors in OpenAI's shape, and name every request as it does."""
    try:
        response = await handler(request)
    except ApiError as error:
        response = error.response()
    except web.HTTPException as error:
        response = ApiError(f"{error.reason}: {request.path}", status=error.status).response()
    except ConnectionError:  # the client has gone away
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        logger.exception("%s %s failed: %s", request.method, request.path, what)
        if request.writer.output_size > 0:  # its answer had begun: all that is left is to cut it
            if request.transport is not None:
                request.transport.close()
            raise ConnectionResetError from error
        response = ApiError(what, status=500).response()
    if not response.prepared:
        response.headers["x-request-id"] = new_id("req")
    return response


def new_id(prefix: str) -> str:
    """A fresh id such as ``chatcmpl-0f...``."""
    return f"{prefix}-{uuid.uuid4().hex}"


async def read_json(request: web.Request) -> dict[str, Any]:
    """The body of a request, which must be a JSON object.

    Raises:
        ApiError: It is not.
    """
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise ApiError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ApiError("the body is not a JSON object")
    return body


async def send_event(response: web.StreamResponse, data: dict[str, Any]) -> None:
    """Send one event."""
    await response.write(b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n")


@dataclass(frozen=True)
class Usage:
    """Tokens of a chat completion."""

    prompt: int
    completion: int

    def as_json(self) -> dict[str, Any]:
        """The ``usage`` object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


class Completion:
    """Makes the objects of one chat completion, which share an id, a time and a model name."""

    def __init__(self, model: str) -> None:
        self.id = new_id("chatcmpl")
        self._common = {
            "id": self.id,
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        }

    def whole(self, message: dict[str, Any], finish_reason: str, usage: Usage) -> dict[str, Any]:
        """The answer to a request without ``stream``."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "refusal": None} | message,
            "finish_reason": finish_reason,
            "logprobs": None,
        }
        common = self._common | {"object": "chat.completion"}
        return common | {"choices": [choice], "usage": usage.as_json()}

    def chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """One piece of a streamed answer."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return self._common | {"object": "chat.completion.chunk", "choices": [choice]}

    def usage_chunk(self, usage: Usage) -> dict[str, Any]:
        """The last piece, sent when ``stream_options.include_usage`` asks for it."""
        common = self._common | {"object": "chat.completion.chunk"}
        return common | {"choices": [], "usage": usage.as_json()}
