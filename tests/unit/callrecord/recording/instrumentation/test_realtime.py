"""Responses of a realtime model, against the bill of the models' server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import openai
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.llm import RealtimeModelFallbackAdapter
from livekit.plugins.openai import realtime

from callrecord.events import now
from tests.unit.callrecord.recording.instrumentation.conftest import (
    SCRIPT,
    Bill,
    Forecaster,
    billed,
    closed,
    tokens,
)
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.local.ai_control import faulty
from tests.waiting import until

STT = "gpt-4o-mini-transcribe"
Start = Callable[..., Awaitable[AgentSession[None]]]


@pytest.fixture
async def start(outbox: Outbox, client: openai.AsyncOpenAI) -> AsyncIterator[Start]:
    """Start a recorded session with a realtime model that answers in text."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        def model() -> realtime.RealtimeModel:
            return realtime.RealtimeModel(
                base_url=str(client.base_url),
                api_key="local",
                http_session=http,
                modalities=["text"],
                turn_detection=None,
            )

        async def begin(agent: Agent | None = None, *, spare: bool = False) -> AgentSession[None]:
            llm = RealtimeModelFallbackAdapter([model(), model()]) if spare else model()
            session = AgentSession[None](llm=llm)
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
    await until(lambda: closed(outbox), what="its end")
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
    assert [each.estimated for each in requests] == [False, True, False]
    told = [line for line in lines if line["finished"]]
    assert tokens([requests[0], requests[2]]) == billed(told)
    assert requests[1].cancelled
    assert requests[1].total_tokens > requests[0].total_tokens  # it has read that one's answer
    assert outbox.recorder.gaps()[0].startswith("realtime ")


async def test_a_response_that_calls_a_function_is_its_speechs(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    """It becomes no message; the words that follow the function's result are one."""
    session = await start(Forecaster())
    await session.generate_reply(user_input="How is the weather?")
    await until(lambda: len(closed(outbox)) == 2, what="both responses")
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
    await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    assert (request.cancelled, request.estimated) == (True, False)
    assert tokens([request]) == billed(await bill.lines("realtime"))
    assert outbox.recorder.gaps() == []


async def test_a_response_that_was_thrown_away_before_it_began_is_as_told(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    """LiveKit passes it over, and its metrics with it."""
    session = await start()
    model = session.current_agent.realtime_llm_session

    def sent(event: dict[str, Any]) -> None:
        if event["type"] == "response.create":
            speech.interrupt()

    model.on("openai_client_event_queued", sent)
    speech = session.generate_reply(user_input="Tell me a story.")
    await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    assert (request.cancelled, request.estimated, request.message_id) == (True, False, None)
    # Cancelled before the model had read anything it is not billed, and zeros are told.
    assert tokens([request]) == (billed(await bill.lines("realtime")) or [(0, 0)])
    assert outbox.recorder.gaps() == []


async def test_a_function_that_a_broken_connection_leaves_uncalled_was_paid_for(
    outbox: Outbox, start: Start, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """No message tells of its response."""
    session = await start(Forecaster())
    fault = {"on": "realtime", "do": "cut", "after": 1, "when": "only 1"}
    async with faulty(client, SCRIPT, fault):
        await session.generate_reply(user_input="How is the weather?")
        await session.generate_reply(user_input="Are you there?")
    line, *_ = await bill.lines("realtime")
    cut, *_ = outbox.usage()
    assert (cut.request_id, cut.cancelled, cut.estimated) == (line["id"], True, True)
    assert cut.total_tokens > 0
    assert outbox.recorder.gaps() == [
        f"realtime {cut.provider}/{cut.model}: 1 request without figures"
    ]


async def test_a_response_under_way_as_the_session_is_closed_is_as_told_or_a_gap(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    """LiveKit cuts it first, and does not always hear what it used before it hangs up."""
    session = await start()
    session.generate_reply(user_input="Tell me a story.")
    await until(lambda: bill.lines("realtime"), what="the response")
    await session.aclose()
    outbox.recorder.finish("caller_hangup", now(), {})
    (request,) = outbox.usage()
    (line,) = await bill.lines("realtime")
    assert (request.cancelled, request.request_id) == (True, line["id"])
    assert request.estimated or tokens([request]) == billed([line])
    assert bool(outbox.recorder.gaps()) == request.estimated


async def test_a_response_that_the_model_refuses_costs_nothing(
    outbox: Outbox, start: Start, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    session = await start()
    async with faulty(client, SCRIPT, {"on": "realtime", "do": "fail", "code": "overloaded"}):
        session.generate_reply(user_input="Are you there?")
        await until(lambda: closed(outbox), what="the end of it")
    (request,) = closed(outbox)
    assert (request.error, request.total_tokens, request.estimated) == ("overloaded", 0, False)
    assert await bill.lines("realtime") == []
    assert outbox.recorder.gaps() == []


async def test_a_response_of_a_model_with_a_spare_is_counted_once(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    session = await start(spare=True)
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="it")
    (request,) = outbox.usage()
    assert request.message_id == outbox.messages()[-1].id
    assert tokens([request]) == billed(await bill.lines("realtime"))


async def test_each_of_two_sessions_has_its_own_responses(
    outbox: Outbox, start: Start, bill: Bill
) -> None:
    sessions = [await start(), await start()]
    for session in sessions:
        await session.generate_reply(user_input="Are you there?")
    await until(lambda: len(closed(outbox)) == len(sessions), what="both")
    replies = [each for each in outbox.messages() if each.role == "assistant"]
    assert [each.message_id for each in outbox.usage()] == [each.id for each in replies]
    assert tokens(outbox.usage()) == billed(await bill.lines("realtime"))


async def test_a_transcription_is_as_billed(outbox: Outbox, start: Start, bill: Bill) -> None:
    """It is of no message here, since it finds no word in silence."""
    session = await start()
    say_nothing(session)
    await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    (line,) = await bill.lines("stt")
    assert (request.kind, request.model, request.request_id) == ("stt", STT, line["id"])
    assert (request.input_tokens, request.input_audio_tokens) == (line["prompt_tokens"],) * 2
    assert request.total_tokens == line["prompt_tokens"] + line["completion_tokens"]
    assert (request.estimated, request.metadata) == (False, {"purpose": "no_words"})


async def test_a_transcription_that_nothing_tells_of_is_estimated(
    outbox: Outbox, start: Start, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """The caller hangs up, and the session is closed while the server transcribes."""
    session = await start()
    async with faulty(client, SCRIPT, {"on": "stt", "do": "stall"}):
        say_nothing(session)
        await until(lambda: bill.lines("stt"), what="the transcription")
        await session.aclose()
        outbox.recorder.finish("caller_hangup", now(), {})
    (request,) = outbox.usage()
    assert (request.estimated, request.metadata) == (True, {"estimate": {"method": "audio"}})


async def test_a_transcription_that_failed_costs_nothing(
    outbox: Outbox, start: Start, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    session = await start()
    async with faulty(client, SCRIPT, {"on": "stt", "do": "fail", "status": 500}):
        say_nothing(session)
        await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    assert request.error is not None
    assert (request.total_tokens, request.audio_ms, request.estimated) == (0, 0, False)
    assert await bill.lines("stt") == []


def say_nothing(session: AgentSession[None]) -> None:
    """Give the model half a second of silence, as a turn of the caller's."""
    assert session._activity is not None
    hearing = session._activity.realtime_llm_session
    assert hearing is not None
    hearing.push_audio(rtc.AudioFrame(bytes(24_000), 24_000, 1, 12_000))
    hearing.commit_audio()
