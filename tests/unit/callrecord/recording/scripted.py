"""A language model that says what a test tells it, with LiveKit's own streams and metrics."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, llm

TOKENS = 10
"""Total tokens of every request."""


@dataclass
class Reply:
    """One answer.

    Attributes:
        text: Sent in one piece, if there is any.
        tool: Name of a function without arguments that is called after the text.
        calls: Of functions, all at once: name, arguments and id of each.
        hold: The stream stays open until this is set.
        error: Is raised in the place of usage.
        told: Whether usage is told at the end.
    """

    text: str = ""
    tool: str | None = None
    calls: Sequence[tuple[str, str, str]] = ()
    hold: asyncio.Event | None = field(default=None)
    error: Exception | None = None
    told: bool = True


class ScriptedLLM(llm.LLM[str]):
    """Gives its replies in order."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        super().__init__()
        self._replies = list(replies)

    @property
    def model(self) -> str:
        """Name of the model."""
        return "scripted-llm"

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return "tests"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Return the next reply as a stream."""
        reply = self._replies.pop(0)
        return _Stream(self, reply, chat_ctx=chat_ctx, tools=tools or [], options=conn_options)


class _Stream(llm.LLMStream):
    def __init__(
        self,
        model: ScriptedLLM,
        reply: Reply,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        options: APIConnectOptions,
    ) -> None:
        super().__init__(model, chat_ctx=chat_ctx, tools=tools, conn_options=options)
        self._reply = reply

    async def _run(self) -> None:
        send = self._event_ch.send_nowait
        if self._reply.text:
            delta = llm.ChoiceDelta(role="assistant", content=self._reply.text)
            send(llm.ChatChunk(id="r1", delta=delta))
        if self._reply.hold is not None:
            await self._reply.hold.wait()
        calls = list(self._reply.calls)
        if self._reply.tool is not None:
            calls.append((self._reply.tool, "{}", "call_1"))
        for name, arguments, call_id in calls:
            call = llm.FunctionToolCall(name=name, arguments=arguments, call_id=call_id)
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
            send(llm.ChatChunk(id="r1", delta=delta))
        if self._reply.error is not None:
            raise self._reply.error
        usage = llm.CompletionUsage(
            completion_tokens=3, prompt_tokens=TOKENS - 3, total_tokens=TOKENS
        )
        if self._reply.told:
            send(llm.ChatChunk(id="r1", usage=usage))
