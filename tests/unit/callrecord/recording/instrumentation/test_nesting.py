"""A model that stands before another: what it passes on is counted once, as the other's."""

import openai
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, APIStatusError
from livekit.plugins import openai as plugins

from callrecord.events import now
from tests.unit.callrecord.recording.instrumentation.conftest import (
    SCRIPT,
    Ask,
    Bill,
    billed,
    closed,
    tokens,
)
from tests.unit.callrecord.recording.instrumentation.passing import (
    PassingLLM,
    PassingSTT,
    PassingTTS,
)
from tests.unit.callrecord.recording.outbox import Outbox, tell
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.unit.local.ai_control import faulty
from tests.waiting import until

ONCE = APIConnectOptions(max_retry=0)
SPOKEN = rtc.AudioFrame(bytes(48_000), 24_000, 1, 24_000)
TEXT = "It is warm in Lisbon."


async def test_an_answer_that_is_passed_on_is_one_request_as_billed(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    model = plugins.LLM(model="gpt-4o", client=client)
    session = await ask(PassingLLM(PassingLLM(model)))
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    assert (request.provider, request.model) == (model.provider, "gpt-4o")
    assert request.message_id == outbox.messages()[-1].id
    assert tokens([request]) == billed(await bill.lines())
    assert outbox.recorder.gaps() == []


async def test_all_that_an_answer_asked_for_is_counted(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """Also what its author throws away."""
    outbox.sees_more = True
    models = [plugins.LLM(model=name, client=client) for name in ("draft-1", "critic-1", "gpt-4o")]
    session = await ask(PassingLLM(*models))
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: len(closed(outbox)) == len(models), what="their ends")
    assert [each.model for each in outbox.usage()] == ["draft-1", "critic-1", "gpt-4o"]
    assert tokens(outbox.usage()) == billed(await bill.lines())
    reply = outbox.messages()[-1]
    assert {each.message_id for each in outbox.usage()} == {reply.id}
    assert outbox.recorder.gaps() == []


async def test_an_answer_that_was_cut_is_one_request(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    session = await ask(PassingLLM(plugins.LLM(model="gpt-4o", client=client)))
    speech = session.generate_reply(user_input="Tell me a story.")
    await until(bill.lines, what="the request")
    await speech.interrupt()
    outbox.recorder.finish("caller_hangup", now(), {})
    (request,) = outbox.usage()
    assert (request.model, request.cancelled, request.estimated) == ("gpt-4o", True, True)


async def test_a_failure_within_is_the_others(outbox: Outbox, ask: Ask) -> None:
    refusal = APIStatusError("no", status_code=400, retryable=False)
    session = await ask(PassingLLM(ScriptedLLM([Reply(error=refusal)])))
    await session.generate_reply(user_input="Are you there?")
    await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    assert (request.model, request.error) == ("scripted-llm", "APIStatusError")
    assert (request.total_tokens, request.estimated) == (0, False)


async def test_speech_that_is_passed_on_is_one_request_as_billed(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    outbox.sees_more = True  # tokens, which this author has forgotten to pass on
    session = await ask()
    voice = plugins.TTS(model="gpt-4o-mini-tts", client=client, response_format="pcm")
    passing = PassingTTS(voice)
    passing.on("metrics_collected", lambda told: tell(session, told))
    async with passing.synthesize(TEXT) as stream:
        await stream.collect()
    await until(lambda: closed(outbox), what="its end")
    (request,) = outbox.usage()
    (line,) = await bill.lines("tts")
    assert (request.model, request.characters) == ("gpt-4o-mini-tts", line["characters"])
    assert tokens([request]) == billed([line])
    assert outbox.recorder.gaps() == []


@pytest.mark.parametrize("spare", [False, True])
async def test_an_utterance_that_is_passed_on_is_one_request_as_billed(
    outbox: Outbox, ask: Ask, client: openai.AsyncOpenAI, bill: Bill, *, spare: bool
) -> None:
    """With a second model for what the first refuses, it is two."""
    session = await ask()
    ears = [
        plugins.STT(model=name, client=client, use_realtime=False) for name in ("ear-1", "ear-2")
    ]
    passing = PassingSTT(ears if spare else ears[:1])
    passing.on("metrics_collected", lambda told: tell(session, told))
    words = SCRIPT | {"stt": ["Good morning."] * 9}
    refusing = [{"on": "stt", "do": "fail", "when": "only 1"}] if spare else []
    async with faulty(client, words, *refusing):
        await passing.recognize(SPOKEN, conn_options=ONCE)
    expected = [("ear-1", 0), ("ear-2", 1000)] if spare else [("ear-1", 1000)]
    assert [(each.model, each.audio_ms) for each in closed(outbox)] == expected
    assert [line["audio_ms"] for line in await bill.lines("stt")] == [1000]
    assert outbox.recorder.gaps() == []
