"""Requests to language models, however they end, against the bill of the models' server."""

import asyncio
from typing import Any

import openai
import pytest
from livekit.agents import llm
from livekit.agents.metrics import LLMModelUsage
from livekit.plugins import openai as plugins

from tests.unit.callrecord.recording.instrumentation.conftest import (
    SCRIPT,
    Ask,
    Bill,
    Forecaster,
    billed,
    closed,
    tokens,
)
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.unit.local.ai_control import faulty
from tests.waiting import until


async def test_a_reply_is_one_request_as_billed(outbox: Outbox, ask: Ask, bill: Bill) -> None:
    session = await ask()
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="the request")
    (request,) = outbox.usage()
    assert tokens([request]) == billed(await bill.lines())
    assert not request.estimated
    assert request.metadata == {}
    assert request.ttft_ms is not None
    reply = outbox.messages()[-1]
    assert (request.message_id, reply.tokens) == (reply.id, request.total_tokens)


async def test_a_request_is_there_as_soon_as_it_goes_out(outbox: Outbox, ask: Ask) -> None:
    """A job that is killed in the midst of it has been billed for it."""
    session = await ask()
    speech = session.generate_reply(user_input="A story, please.")
    await until(outbox.usage, what="the request")
    (request,) = outbox.usage()
    assert request.metadata["open"]
    assert request.estimated
    assert request.input_tokens > 0
    speech.interrupt()


async def test_a_cut_reply_tells_its_tokens_unheard(outbox: Outbox, ask: Ask, bill: Bill) -> None:
    session = await ask()
    speech = session.generate_reply(user_input="Something short.")
    await until(lambda: _answering(outbox), what="an answer")
    await asyncio.wait_for(speech.interrupt(), 5)
    await outbox.recorder.settle()
    (request,) = outbox.usage()
    assert request.cancelled
    assert not request.estimated
    assert tokens([request]) == billed(await bill.lines())
    assert (await bill.lines())[0]["finished"]


async def test_a_long_cut_reply_is_estimated(outbox: Outbox, ask: Ask, bill: Bill) -> None:
    session = await ask()
    for _ in range(3):
        await session.generate_reply(user_input="Are you there?")
    speech = session.generate_reply(user_input="A story, please.")
    await until(lambda: len(outbox.said("assistant")[-1].split()) > 12, what="some words of it")
    await asyncio.wait_for(speech.interrupt(), 5)
    await outbox.recorder.settle()
    request = outbox.usage()[-1]
    assert (request.cancelled, request.estimated) == (True, True)
    assert request.metadata["estimate"]["method"] == "learned"
    line = (await bill.lines())[-1]
    assert not line["finished"]
    assert abs(request.input_tokens - line["prompt_tokens"]) <= 5
    assert request.output_tokens > 0


@pytest.mark.parametrize("outbox", [0.0], indirect=True)
async def test_without_a_drain_nothing_goes_on(outbox: Outbox, ask: Ask, bill: Bill) -> None:
    session = await ask()
    speech = session.generate_reply(user_input="Something short.")
    await until(lambda: _answering(outbox), what="an answer")
    await asyncio.wait_for(speech.interrupt(), 5)
    await outbox.recorder.settle()
    (request,) = outbox.usage()
    assert request.estimated
    assert not (await bill.lines())[0]["finished"]


async def test_a_tool_step_is_a_request_of_the_same_turn(
    outbox: Outbox, ask: Ask, bill: Bill
) -> None:
    session = await ask(agent=Forecaster())
    await session.generate_reply(user_input="How is the weather?")
    await until(lambda: len(closed(outbox)) == 2, what="both requests")
    reply = outbox.messages()[-1]
    assert reply.content == "It is warm."
    assert {each.message_id for each in outbox.usage()} == {reply.id}
    assert reply.tokens == sum(each.total_tokens for each in outbox.usage())
    assert tokens(outbox.usage()) == billed(await bill.lines())


async def test_what_the_framework_counts_is_in_the_ledger(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI
) -> None:
    """And beside it what the framework does not see: attempts that broke off, other models."""
    session = await ask(agent=Forecaster())
    async with faulty(client, SCRIPT, {"on": "llm", "do": "cut", "after": 1, "when": "only 1"}):
        await session.generate_reply(user_input="How is the weather?")
        await until(lambda: len(closed(outbox)) == 3, what="all attempts")
    (counted,) = session.usage.model_usage
    assert isinstance(counted, LLMModelUsage)
    seen = [each for each in outbox.usage() if not each.estimated]
    assert len(outbox.usage()) == len(seen) + 1
    assert counted.input_tokens == sum(each.input_tokens for each in seen)
    assert counted.output_tokens == sum(each.output_tokens for each in seen)


async def test_each_attempt_is_a_request(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """One that broke off has been billed; its tokens were never told."""
    session = await ask()
    fault = {"on": "llm", "do": "cut", "after": 1, "when": "only 1"}
    async with faulty(client, SCRIPT, fault):
        await session.generate_reply(user_input="Are you there?")
        await until(lambda: len(closed(outbox)) == 2, what="both attempts")
    first, second = outbox.usage()
    assert (first.error, first.estimated) == ("APIConnectionError", True)
    assert (second.metadata, second.estimated) == ({"attempt": 2}, False)
    lines = await bill.lines()
    assert len(lines) == 2
    assert tokens([second]) == billed(lines[1:])
    assert first.input_tokens > 0


async def test_a_refused_request_has_cost_nothing(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    session = await ask()
    async with faulty(client, SCRIPT, {"on": "llm", "do": "fail", "status": 429, "when": "only 1"}):
        await session.generate_reply(user_input="Are you there?")
        await until(lambda: len(closed(outbox)) == 2, what="both attempts")
    refused = outbox.usage()[0]
    assert (refused.error, refused.total_tokens, refused.estimated) == ("APIStatusError", 0, False)
    assert len(await bill.lines()) == 1


async def test_a_fallback_is_not_counted_twice(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    models: list[llm.LLM[Any]] = [
        plugins.LLM(model="first", client=client),
        plugins.LLM(model="second", client=client),
    ]
    adapter = llm.FallbackAdapter(models, max_retry_per_llm=0)
    session = await ask(adapter)
    async with faulty(client, SCRIPT, {"on": "llm", "do": "fail", "status": 500, "when": "only 1"}):
        await session.generate_reply(user_input="Are you there?")
        # The first one is asked again, beside the call, whether it is back.
        await until(lambda: len(closed(outbox)) == 3, what="all requests")
    by_model = {(each.model, each.metadata.get("purpose")): each for each in outbox.usage()}
    assert set(by_model) == {("first", None), ("second", None), ("first", "recovery_probe")}
    assert by_model["first", None].error is not None
    assert by_model["second", None].message_id == outbox.messages()[-1].id
    told = [each for each in outbox.usage() if each.error is None]
    assert tokens(told) == billed(await bill.lines())


async def test_a_summary_beside_the_session_is_the_calls(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    await ask()
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Sum this up.")
    async with plugins.LLM(model="summarizer", client=client).chat(chat_ctx=context) as stream:
        await stream.collect()
    (request,) = outbox.usage()
    assert (request.model, request.message_id) == ("summarizer", None)
    assert request.metadata == {"purpose": "outside_session"}
    assert tokens([request]) == billed(await bill.lines())


async def test_a_model_that_tells_nothing_is_estimated_and_named(outbox: Outbox, ask: Ask) -> None:
    session = await ask(ScriptedLLM([Reply("Yes I am", told=False)]))
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="the request")
    (request,) = outbox.usage()
    assert request.estimated
    assert request.input_tokens > 0
    assert request.output_tokens == 2
    assert outbox.recorder.gaps() == ["llm tests/scripted-llm: 1 request without figures"]


async def test_a_request_cut_by_the_end_of_the_call_is_booked(outbox: Outbox, ask: Ask) -> None:
    session = await ask()
    session.generate_reply(user_input="A story, please.")
    await until(lambda: _answering(outbox), what="an answer")
    outbox.recorder.finish("caller_hangup", outbox.messages()[0].at, {})
    (request,) = outbox.usage()
    assert "open" not in request.metadata
    assert request.estimated


def _answering(outbox: Outbox) -> bool:
    return bool(outbox.said("assistant"))
