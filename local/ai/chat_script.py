"""POST /v1/chat/completions, answered from a script."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from local.ai import script as scripts
from local.ai.protocol import (
    ApiError,
    Completion,
    Usage,
    new_id,
    open_event_stream,
    read_json,
    send_event,
)
from local.ai.script import Answer, Script, ToolCall


@dataclass
class BillLine:
    """What one request costs, in words; for a request that was cut, those sent until then."""

    id: str
    prompt_tokens: int
    completion_tokens: int = 0
    finished: bool = False


class ScriptedChat:
    """The scripted language model as an endpoint."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._bill: list[BillLine] = []

    async def bill(self, _request: web.Request) -> web.Response:
        """Tell what a provider would charge for, to hold a worker's own count against."""
        return web.json_response({"requests": [asdict(line) for line in self._bill]})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await read_json(request)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise ApiError("'messages' must be a list with a message in it", param="messages")
        answer = scripts.answer(self._script, messages)
        usage = Usage(scripts.prompt_words(messages), answer.tokens)
        completion = Completion(str(body.get("model", "script")))
        line = BillLine(completion.id, usage.prompt)
        self._bill.append(line)
        await asyncio.sleep(answer.delay_s)
        if not body.get("stream"):
            await asyncio.sleep(_seconds(answer) * answer.tokens)
            finish = "tool_calls" if answer.tool_call else "stop"
            line.completion_tokens, line.finished = usage.completion, True
            return web.json_response(completion.whole(_message(answer), finish, usage))
        options = body.get("stream_options") or {}
        asked = usage if options.get("include_usage") else None
        return await _stream(request, completion, answer, asked, line)


async def _stream(
    request: web.Request,
    completion: Completion,
    answer: Answer,
    usage: Usage | None,
    line: BillLine,
) -> web.StreamResponse:
    response = await open_event_stream(request)
    await send_event(response, completion.chunk({"role": "assistant", "content": ""}))
    pause = _seconds(answer)
    for piece in scripts.pieces(answer.text):
        await send_event(response, completion.chunk({"content": piece}))
        line.completion_tokens += 1
        await asyncio.sleep(pause)
    if answer.tool_call:
        for delta in _tool_deltas(answer.tool_call):
            await send_event(response, completion.chunk({"tool_calls": [delta]}))
    line.completion_tokens, line.finished = answer.tokens, True
    finish = "tool_calls" if answer.tool_call else "stop"
    await send_event(response, completion.chunk({}, finish))
    if usage is not None:
        await send_event(response, completion.usage_chunk(usage))
    await response.write(b"data: [DONE]\n\n")
    return response


def _seconds(answer: Answer) -> float:
    """Pause after each token."""
    return 1 / answer.tokens_per_s if answer.tokens_per_s else 0.0


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"content": answer.text or None}
    if answer.tool_call:
        message["tool_calls"] = [_whole_call(answer.tool_call)]
    return message


def _whole_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments_json()}
    return {"id": new_id("call"), "type": "function", "function": function}


def _tool_deltas(call: ToolCall) -> list[dict[str, Any]]:
    """A tool call in pieces, as OpenAI sends them: the name first, then the arguments."""
    whole = _whole_call(call)
    first = whole | {"index": 0, "function": {"name": call.name, "arguments": ""}}
    arguments = call.arguments_json()
    half = len(arguments) // 2
    rest = [
        {"index": 0, "function": {"arguments": part}}
        for part in (arguments[:half], arguments[half:])
    ]
    return [first, *rest]
