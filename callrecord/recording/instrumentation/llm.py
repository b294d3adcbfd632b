"""Streams of language models: each attempt is a request, with its prompt and its answer."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from livekit.agents.llm import LLM, ChatChunk, CompletionUsage, LLMStream

from callrecord.recording.instrumentation.channel import Watched
from callrecord.recording.instrumentation.lookups import purpose
from callrecord.recording.usage.estimate import Answer
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.requests import (
    Request,
    around,
    attempting,
    estimate,
    row_of,
    settle,
)


class LLMStreamObserver:
    """Observes one stream; its attempts run one after the other."""

    def __init__(
        self, meter: Meter, stream: LLMStream, model: LLM[Any], speech_id: str | None
    ) -> None:
        """Attach to a stream that has sent nothing yet."""
        self._meter = meter
        self._stream = stream
        self._model = model
        self._speech_id = speech_id
        self._purpose = purpose(speech_id)
        self._within = around("llm")
        self._attempts = 0
        self._prompt = meter.scale.weigh(stream.chat_ctx, stream.tools)
        self._request: Request | None = None
        self._answered = Answer()
        self._begin = meter.guarded("llm", model, self._begin_attempt)
        channel = stream._event_ch  # noqa: SLF001 - where each plugin's `_run` answers
        self._channel = Watched(channel, meter.guarded("llm", model, self._chunk))
        stream._event_ch = self._channel  # type: ignore[assignment]  # noqa: SLF001

    async def run(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Run an attempt of the stream, as the stream itself would.

        If it is cancelled, it goes on for a while, and its answers are not passed on.
        """
        request = self._request = self._begin()
        if request is None:
            await attempt()
            return
        with attempting("llm") as own:
            own.request = request
            work = asyncio.ensure_future(attempt())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            self._channel.muted = True
            request.cut()
            self._meter.drain(work, request)
            raise
        except Exception as error:
            request.failed(error)
            request.finish()
            raise
        request.finish()

    def _begin_attempt(self) -> Request:
        self._attempts += 1
        self._answered = Answer()
        row = row_of(
            "llm",
            self._model,
            speech_id=self._speech_id,
            estimated=True,
            metadata={"open": True},
        )
        request = Request(row, lambda: None)
        request.finish = self._meter.guarded("llm", self._model, partial(self._finish, request))
        if self._attempts > 1:
            request.note(attempt=self._attempts)
        if self._purpose is not None:
            request.note(purpose=self._purpose)
        estimate(self._meter.estimator, self._model.model, request, self._prompt, self._answered)
        self._meter.begin(request, self._within)
        return request

    def _chunk(self, chunk: ChatChunk) -> None:
        request = self._request
        if request is None:
            return
        if chunk.id and request.row.request_id is None:
            request.change(request_id=chunk.id)
            self._meter.saw(request.row)
        if chunk.has_response():
            request.answered()
        if chunk.delta is not None:
            called = sum(len(call.name) + len(call.arguments) for call in chunk.delta.tool_calls)
            self._answered = self._answered.and_also(chunk.delta.content or "", called)
        if chunk.usage is not None and chunk.usage.total_tokens > 0:
            request.change(**_reported(chunk.usage))

    def _finish(self, request: Request) -> None:
        if not self._meter.is_open(request):
            return
        unreported = settle(
            self._meter.estimator, self._model.model, request, self._prompt, self._answered
        )
        if unreported and not request.row.cancelled and request.row.error is None:
            self._meter.told_nothing(request.row)
        self._meter.end(request)


def _reported(usage: CompletionUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "cached_input_tokens": usage.prompt_cached_tokens,
        "cache_creation_tokens": usage.cache_creation_tokens,
        "output_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
        "estimated": False,
    }
