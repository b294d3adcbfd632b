"""POST /v1/chat/completions: the script or the local model, and the faults of either."""

from typing import Any

from aiohttp import web

from local.ai import script as scripts
from local.ai.bill import Bill
from local.ai.chat_script import send_answer
from local.ai.current import Current
from local.ai.faults import BadArguments, Empty, Fault, UnknownTool
from local.ai.faulty import begin
from local.ai.models import Models
from local.ai.protocol import ApiError, read_json
from local.ai.script import Answer, ToolCall


class Chat:
    """The endpoint over the language models."""

    def __init__(self, models: Models, current: Current, bill: Bill) -> None:
        self._models = models
        self._current = current
        self._bill = bill

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await read_json(request)
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise ApiError("'messages' must be a list with a message in it", param="messages")
        fault = self._current.fault("llm", scripts.last_said(messages) or "")
        await begin(request, fault)
        answer = self._known_answer(messages, _tool_names(body.get("tools")), fault)
        if answer is None:
            return await self._models.llama.handle(request, body, fault, self._bill)
        return await send_answer(request, body, answer, self._bill, fault)

    async def answer(
        self, messages: list[dict[str, Any]], tools: list[str], fault: Fault | None
    ) -> Answer:
        """Answer a conversation whose model may call the functions named.

        Raises:
            ApiError: The model refuses it.
        """
        known = self._known_answer(messages, tools, fault)
        return known or Answer(await self._models.llama.reply(messages))

    def _known_answer(
        self, messages: list[Any], tools: list[str], fault: Fault | None
    ) -> Answer | None:
        """What is said without asking a model."""
        match fault:
            case Empty():
                return Answer("")
            case UnknownTool():
                return Answer("", ToolCall(fault.name))
            case BadArguments():
                name = fault.name or next(iter(tools), "no_such_tool")
                return Answer("", ToolCall(name, fault.arguments))
        script = self._current.script
        return scripts.answer(script, messages) if script.llm == "script" else None


def _tool_names(tools: Any) -> list[str]:
    listed = tools if isinstance(tools, list) else []
    functions = [tool.get("function") for tool in listed if isinstance(tool, dict)]
    return [str(function.get("name")) for function in functions if isinstance(function, dict)]
