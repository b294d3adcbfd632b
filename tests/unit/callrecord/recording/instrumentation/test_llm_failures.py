"""Requests to language models that fail, and a meter that does."""

import asyncio

import pytest
from livekit.agents import APIStatusError
from livekit.agents.metrics import LLMMetrics
from livekit.agents.metrics.base import Metadata

from callrecord.recording.usage.estimate import Estimator
from tests.unit.callrecord.recording.instrumentation.conftest import Ask, closed
from tests.unit.callrecord.recording.outbox import Outbox, tell
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.unit.callrecord.recording.told import llm
from tests.waiting import until

OVERLOADED = APIStatusError("overloaded", status_code=529, retryable=False)


@pytest.mark.parametrize(("words", "billed"), [("", False), ("Yes I am", True)])
async def test_only_what_was_not_answered_was_refused(
    outbox: Outbox, ask: Ask, *, words: str, billed: bool
) -> None:
    """A provider that is overloaded may say so in the middle of an answer, too."""
    session = await ask(ScriptedLLM([Reply(words, error=OVERLOADED)]))
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="the attempt")
    request = closed(outbox)[0]
    assert request.error == "APIStatusError"
    assert (request.estimated, request.total_tokens > 0) == (billed, billed)


async def test_what_is_refused_after_it_was_cut_has_cost_nothing(outbox: Outbox, ask: Ask) -> None:
    answer = asyncio.Event()
    session = await ask(ScriptedLLM([Reply(hold=answer, error=OVERLOADED)]))
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
    session = await ask(ScriptedLLM([Reply("Yes I am", told=False)]))
    monkeypatch.delattr(Estimator, "prompt")
    await session.generate_reply(user_input="Are you there?")
    assert outbox.said("assistant") == ["Yes I am"]
    assert outbox.recorder.gaps() == ["llm tests/scripted-llm: 1 request not seen"]


async def test_zeros_of_another_model_are_not_taken_for_a_metered_ones(
    outbox: Outbox, ask: Ask
) -> None:
    """LiveKit names no request that was cut before its first answer."""
    session = await ask()
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="the request")
    counts = (name for name in LLMMetrics.model_fields if name.endswith("_tokens"))
    zeros = dict.fromkeys((*counts, "tokens_per_second"), 0)
    for model in ("gpt-4o", "unmetered"):
        made_by = Metadata(model_name=model, model_provider=closed(outbox)[0].provider)
        tell(session, llm(None, request_id="", cancelled=True, ttft=-1, metadata=made_by, **zeros))
    assert [each.model for each in outbox.usage()] == ["gpt-4o", "unmetered"]
