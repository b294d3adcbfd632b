"""Responses of a realtime model, against the bill of the models' server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import openai
import pytest
from livekit.agents import Agent, AgentSession
from livekit.plugins.openai import realtime

from callrecord.db.events import now
from tests.callrecord.recording.metering.conftest import SCRIPT, Bill, Forecaster, billed, tokens
from tests.callrecord.recording.outbox import Outbox
from tests.local.ai_control import faulty
from tests.waiting import until

Start = Callable[..., Awaitable[AgentSession[None]]]


@pytest.fixture
async def start(outbox: Outbox, client: openai.AsyncOpenAI) -> AsyncIterator[Start]:
    """Start a recorded session with a realtime model that answers in text."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def begin(agent: Agent | None = None) -> AgentSession[None]:
            model = realtime.RealtimeModel(
                base_url=str(client.base_url),
                api_key="local",
                http_session=http,
                modalities=["text"],
                turn_detection=None,
            )
            session = AgentSession[None](llm=model)
            stack.push_async_callback(session.aclose)
            outbox.recorder.attach_session(session)
            await session.start(agent or Agent(instructions="Be brief."))
            return session

        yield begin
    outbox.check_ledger()


async def test_a_response_is_its_messages_as_billed(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    session = await start()
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: any(each.kind == "realtime" for each in outbox.usage()), what="it")
    (request,) = outbox.usage()
    reply = outbox.messages()[-1]
    assert request.message_id == reply.id
    assert reply.tokens == request.total_tokens > 0
    assert tokens([request]) == billed(await bill.lines("realtime"))


async def test_a_response_that_a_broken_connection_leaves_is_estimated_and_named(
    outbox: Outbox, start: Start, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """The session is opened again, and goes on; what the cut response used is never told."""
    session = await start()
    await session.generate_reply(user_input="Are you there?")
    fault = {"on": "realtime", "do": "cut", "after": 2, "when": "only 1"}
    async with faulty(client, SCRIPT, fault):
        await session.generate_reply(user_input="Something short.")
        await session.generate_reply(user_input="Are you there?")
    outbox.recorder.finish("caller_hangup", now(), {})
    lines = await bill.lines("realtime")
    assert len(lines) == 3
    requests = outbox.usage()
    assert [each.estimated for each in requests] == [False, False, True]
    told = [line for line in lines if line["finished"]]
    assert tokens(requests[:2]) == billed(told)
    assert requests[2].total_tokens > 0
    assert outbox.recorder.gaps()[0].startswith("realtime ")


async def test_a_response_that_calls_a_function_is_its_speechs(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    """It becomes no message; the words that follow the function's result are one."""
    session = await start(Forecaster())
    await session.generate_reply(user_input="How is the weather?")
    await until(lambda: len(outbox.usage()) == 2, what="both responses")
    called, said = outbox.usage()
    reply = outbox.messages()[-1]
    assert called.message_id == said.message_id == reply.id
    assert reply.tokens == called.total_tokens + said.total_tokens
    assert tokens([called, said]) == billed(await bill.lines("realtime"))


async def test_a_response_that_was_cut_is_as_told(outbox: Outbox, start: Start, bill: Bill) -> None:
    """A realtime model tells what it used until then."""
    session = await start()
    session.generate_reply(user_input="Tell me a story.")
    await until(lambda: bill.lines("realtime"), what="the response")
    await session.interrupt()
    await until(outbox.usage, what="its end")
    (request,) = outbox.usage()
    assert (request.cancelled, request.estimated) == (True, False)
    assert tokens([request]) == billed(await bill.lines("realtime"))
    assert outbox.recorder.gaps() == []
