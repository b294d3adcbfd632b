"""One response of the model: its events from ``response.created`` to ``response.done``."""

import asyncio
from typing import Any

from local.ai import script as scripts
from local.ai.faults import Cut, Empty, Fail, Slow, Stall
from local.ai.faulty import failure, stall
from local.ai.protocol import ApiError, new_id
from local.ai.realtime.channel import Channel
from local.ai.realtime.config import Config
from local.ai.realtime.conversation import Conversation, Tokens
from local.ai.realtime.engine import Engine
from local.ai.realtime.message import Message
from local.ai.realtime.output import Output
from local.ai.script import Answer, ToolCall

_MAX_ID = 32


class Response:
    """Runs once; ``end`` tells how it ended, also for whoever cancels it.

    ``params`` are those of ``response.create``, which go before the session's configuration.
    """

    def __init__(
        self,
        params: dict[str, Any],
        channel: Channel,
        config: Config,
        conversation: Conversation,
        engine: Engine,
    ) -> None:
        kept = params.get("conversation") != "none"
        self._output = Output(channel, conversation if kept else None)
        self._params = params
        self._channel = channel
        self._config = config
        self._engine = engine
        self._conversation_id = conversation.id if kept else None
        self._context = _context(params, conversation)
        self._instructions = str(self._asked("instructions") or "")
        self._message: Message | None = None
        self._ended = False
        self._given = self._cached = Tokens()

    @property
    def id(self) -> str:
        """The response's id."""
        return self._output.response_id

    async def begin(self) -> None:
        """Tell that it begins."""
        await self._channel.send("response.created", response=self._as_json("in_progress"))

    async def run(self) -> None:
        """Think, and say it; every item must have been heard."""
        messages = self._context.messages(self._instructions)
        fault = self._engine.current.fault("realtime", scripts.last_said(messages) or "")
        self._output.fault = fault
        match fault:
            case Fail():
                await self.end("failed", error=failure(fault))
                return
            case Stall(after=None):
                await stall()
            case Cut(after=0):
                await self._channel.cut()
            case Slow():
                await asyncio.sleep(fault.delay_s)
        self._given = self._context.tokens(self._instructions)
        self._cached = self._context.cache(self._given)
        line = self._output.line = self._engine.bill.line(
            self.id, "realtime", prompt_tokens=self._given.total
        )
        line.prompt_audio_tokens = self._given.audio
        line.cached_tokens, line.cached_audio_tokens = self._cached.total, self._cached.audio
        tools = [str(tool.get("name")) for tool in self._asked("tools") or []]
        try:
            answer = await self._engine.chat.answer(messages, tools, fault)
        except ApiError as error:
            await self.end("failed", error=error)
            return
        await asyncio.sleep(answer.delay_s)
        if not isinstance(fault, Empty):
            await self._say(answer)
        if isinstance(fault, Stall):
            await stall()
        if isinstance(fault, Cut):
            await self._channel.cut()
        line.finished = True
        await self.end("completed")

    async def end(
        self, status: str, *, reason: str | None = None, error: ApiError | None = None
    ) -> None:
        """Close what is open, and tell how it ended; the first end counts."""
        if self._ended:
            return
        self._ended = True
        if self._message is not None:
            await self._message.close("incomplete")
        for item in self._output.items:
            if item["status"] == "in_progress":
                await self._output.done(item, "incomplete")
        details: dict[str, Any] = {"type": status}
        if reason:
            details["reason"] = reason
        if error:
            told = error.as_json()
            details["error"] = {name: told[name] for name in ("type", "code", "message")}
        response = self._as_json(status) | {
            "status_details": None if status == "completed" else details,
            "usage": None if error else _usage(self._given, self._cached, self._output.made),
        }
        await self._channel.send("response.done", response=response)

    async def _say(self, answer: Answer) -> None:
        if answer.text:
            message = Message(self._output, audio="audio" in self._asked("output_modalities"))
            await message.open()
            self._message = message
            await message.speak(answer, self._engine.speech, self._config.speed)
            self._message = None
            await message.close("completed")
        if answer.tool_call and self._asked("tool_choice") != "none":
            await self._call(answer.tool_call)

    async def _call(self, call: ToolCall) -> None:
        call_id, arguments = new_id("call")[:_MAX_ID], call.arguments_json()
        item = await self._output.add(
            {"type": "function_call", "name": call.name, "call_id": call_id, "arguments": ""}
        )
        place = {"item_id": item["id"], "call_id": call_id}
        await self._output.piece(Tokens(text=scripts.count_words(f"{call.name} {arguments}")))
        half = len(arguments) // 2
        for part in (arguments[:half], arguments[half:]):
            await self._output.send("function_call_arguments.delta", **place, delta=part)
        item["arguments"] = arguments
        await self._output.send(
            "function_call_arguments.done", **place, name=call.name, arguments=arguments
        )
        await self._output.done(item, "completed")

    def _asked(self, name: str) -> Any:
        asked = self._params.get(name)
        return self._config[name] if asked is None else asked

    def _as_json(self, status: str) -> dict[str, Any]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": None,
            "output": self._output.items,
            "conversation_id": self._conversation_id,
            "output_modalities": self._asked("output_modalities"),
            "max_output_tokens": self._asked("max_output_tokens"),
            "audio": {"output": self._config["audio"]["output"]},
            "metadata": self._params.get("metadata"),
            "usage": None,
        }


def _context(params: dict[str, Any], conversation: Conversation) -> Conversation:
    """What the model reads: the conversation, or the items given in its place.

    Raises:
        EventError: An item is not as the protocol has it.
    """
    if params.get("input") is None:
        return conversation
    context = Conversation()
    for item in params["input"]:
        context.insert(context.create(item))
    return context


def _usage(given: Tokens, cached: Tokens, made: Tokens) -> dict[str, Any]:
    """Tokens read, those of them read before, and tokens made."""
    return {
        "total_tokens": given.total + made.total,
        "input_tokens": given.total,
        "output_tokens": made.total,
        "input_token_details": {
            "text_tokens": given.text,
            "audio_tokens": given.audio,
            "image_tokens": 0,
            "cached_tokens": cached.total,
            "cached_tokens_details": {
                "text_tokens": cached.text,
                "audio_tokens": cached.audio,
                "image_tokens": 0,
            },
        },
        "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
    }
