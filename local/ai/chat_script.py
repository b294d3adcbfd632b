"""Scripted answers in the shape of chat completions."""

import asyncio
import json
from typing import Any

from aiohttp import web

from local.ai import script as scripts
from local.ai.bill import Bill, BillLine
from local.ai.faults import Fault
from local.ai.faulty import Stream, send_whole
from local.ai.protocol import Completion, Usage, new_id, send_event
from local.ai.script import Answer, ToolCall


async def send_answer(
    request: web.Request, body: dict[str, Any], answer: Answer, bill: Bill, fault: Fault | None
) -> web.StreamResponse:
    """Send an answer as the request asked for it, and at its own pace."""
    usage = Usage(scripts.prompt_words(body["messages"]), answer.tokens)
    completion = Completion(str(body.get("model", "script")))
    line = bill.line(completion.id, "llm", prompt_tokens=usage.prompt)
    await asyncio.sleep(answer.delay_s)
    if not body.get("stream"):
        await asyncio.sleep(answer.pause_s * answer.tokens)
        finish = "tool_calls" if answer.tool_call else "stop"
        line.completion_tokens, line.finished = usage.completion, True
        whole = completion.whole(_message(answer), finish, usage)
        return await send_whole(request, json.dumps(whole).encode(), fault)
    options = body.get("stream_options") or {}
    asked = usage if options.get("include_usage") else None
    response = Stream(request, fault, {"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await _stream(response, completion, answer, asked, line)
    return response


async def _stream(
    response: Stream,
    completion: Completion,
    answer: Answer,
    usage: Usage | None,
    line: BillLine,
) -> None:
    await send_event(response, completion.chunk({"role": "assistant", "content": ""}))
    for piece in scripts.pieces(answer.text):
        await send_event(response, completion.chunk({"content": piece}))
        line.completion_tokens += 1
        await asyncio.sleep(answer.pause_s)
    if answer.tool_call:
        for delta in _tool_deltas(answer.tool_call):
            await send_event(response, completion.chunk({"tool_calls": [delta]}))
    line.completion_tokens, line.finished = answer.tokens, True
    finish = "tool_calls" if answer.tool_call else "stop"
    await send_event(response, completion.chunk({}, finish))
    if usage is not None:
        await send_event(response, completion.usage_chunk(usage))
    await response.write(b"data: [DONE]\n\n")


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
