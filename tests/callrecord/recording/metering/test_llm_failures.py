"""Requests to language models that fail, and a meter that does."""

import asyncio
import time

import pytest
from livekit.agents import AgentSession, APIStatusError
from livekit.agents.metrics import LLMMetrics
from livekit.agents.metrics.base import Metadata

from callrecord.recording.metering.estimate import Estimator
from tests.callrecord.recording.metering.conftest import Ask, closed
from tests.callrecord.recording.metering.streaming import QuietLLM
from tests.callrecord.recording.outbox import Outbox, tell
from tests.waiting import until


@pytest.mark.parametrize(("words", "billed"), [("", False), ("Yes I am", True)])
async def test_only_what_was_not_answered_was_refused(
    outbox: Outbox, ask: Ask, *, words: str, billed: bool
) -> None:
    """A provider that is overloaded may say so in the middle of an answer, too."""
    session = await ask(QuietLLM(words, APIStatusError("overloaded", status_code=529)))
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="the attempt")
    request = closed(outbox)[0]
    assert request.error == "APIStatusError"
    assert (request.estimated, request.total_tokens > 0) == (billed, billed)


async def test_what_is_refused_after_it_was_cut_has_cost_nothing(outbox: Outbox, ask: Ask) -> None:
    answer = asyncio.Event()
    plugin = QuietLLM("", APIStatusError("overloaded", status_code=529), answer)
    session = await ask(plugin)
    speech = session.generate_reply(user_input="Are you there?")
    await until(outbox.usage, what="the request")
    await asyncio.wait_for(speech.interrupt(), 5)
    answer.set()
    await outbox.recorder.settle()
    (request,) = outbox.usage()
    assert (request.cancelled, request.error) == (True, "APIStatusError")
    assert (request.estimated, request.total_tokens) == (False, 0)


async def test_a_meter_that_fails_leaves_the_reply_alone(
    outbox: Outbox, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await ask(QuietLLM("Yes I am", None))
    monkeypatch.delattr(Estimator, "prompt")
    await session.generate_reply(user_input="Are you there?")
    assert outbox.said("assistant") == ["Yes I am"]
    assert outbox.recorder.gaps() == ["llm tests/silent: 1 request not seen"]


async def test_zeros_of_another_model_are_not_taken_for_a_metered_ones(
    outbox: Outbox, ask: Ask
) -> None:
    """LiveKit names no request that was cut before its first answer."""
    session = await ask()
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="the request")
    for model in ("gpt-4o", "unmetered"):
        tell(session, _zeros(session, model))
    assert [each.model for each in outbox.usage()] == ["gpt-4o", "unmetered"]


def _zeros(session: AgentSession[None], model: str) -> LLMMetrics:
    made_by = session.llm
    assert made_by is not None
    return LLMMetrics(
        label=made_by.label,
        request_id="",
        timestamp=time.time(),
        duration=0.1,
        ttft=-1,
        cancelled=True,
        completion_tokens=0,
        prompt_tokens=0,
        prompt_cached_tokens=0,
        total_tokens=0,
        tokens_per_second=0,
        metadata=Metadata(model_name=model, model_provider=made_by.provider),
    )
