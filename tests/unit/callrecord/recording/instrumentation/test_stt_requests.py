"""Requests for transcripts of whole utterances, against the bill of the models' server."""

import asyncio

import openai
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt
from livekit.plugins import openai as plugins
from livekit.plugins import silero

from callrecord.events import Usage, now
from callrecord.recording.usage.meter import Meter
from tests.unit.callrecord.recording.instrumentation.conftest import SCRIPT, Ask, Bill
from tests.unit.callrecord.recording.outbox import Outbox, tell
from tests.unit.local.ai_control import faulty, set_script
from tests.waiting import until

SPOKEN = rtc.AudioFrame(bytes(48_000), 24_000, 1, 24_000)
WORDS = SCRIPT | {"stt": ["Good morning."] * 9}
PATIENT = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=5)


@pytest.fixture
async def ear(ask: Ask, client: openai.AsyncOpenAI) -> plugins.STT:
    """A model whose metrics reach a recorded session, as its own model's do."""
    session = await ask()
    model = plugins.STT(model="whisper-1", client=client, use_realtime=False)
    model.on("metrics_collected", lambda told: tell(session, told))
    return model


def _figures(requests: list[Usage]) -> list[tuple[int | None, str | None, bool]]:
    return [(each.audio_ms, each.error, each.estimated) for each in requests]


async def test_an_utterance_is_one_request_as_billed(
    outbox: Outbox, ear: plugins.STT, bill: Bill
) -> None:
    """The request that was seen, and LiveKit's metrics of it, are one row."""
    await ear.recognize(SPOKEN)
    (request,) = outbox.usage()
    (line,) = await bill.lines("stt")
    assert request.audio_ms == line["audio_ms"] == 1000
    assert (request.cancelled, request.estimated, request.error) == (False, False, None)
    assert request.provider == ear.provider
    assert request.duration_ms is not None
    assert "open" not in request.metadata


async def test_each_attempt_is_a_request(
    outbox: Outbox, ear: plugins.STT, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """One whose answer was cut is billed; LiveKit's metrics tell of the last attempt alone."""
    refused = {"on": "stt", "do": "fail", "when": "only 1"}
    async with faulty(client, WORDS, refused, {"on": "stt", "do": "cut", "when": "only 2"}):
        await ear.recognize(SPOKEN, conn_options=PATIENT)
    assert _figures(outbox.usage()) == [
        (0, "APIStatusError", False),
        (1000, "APIConnectionError", True),
        (1000, None, False),
    ]
    assert [each.metadata.get("attempt") for each in outbox.usage()] == [None, 2, 3]
    assert sum(line["audio_ms"] for line in await bill.lines("stt")) == 2000


async def test_what_fails_for_good_has_rows_and_costs_nothing(
    outbox: Outbox, ear: plugins.STT, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    async with faulty(client, SCRIPT, {"on": "stt", "do": "fail"}):
        with pytest.raises(APIError):
            await ear.recognize(SPOKEN, conn_options=PATIENT)
    assert _figures(outbox.usage()) == [(0, "APIStatusError", False)] * 3
    assert await bill.lines("stt") == []


async def test_an_utterance_that_was_cut_counts_whole(
    outbox: Outbox, ear: plugins.STT, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    async with faulty(client, SCRIPT, {"on": "stt", "do": "slow", "pause_s": 30}):
        asking = asyncio.create_task(ear.recognize(SPOKEN))
        await until(lambda: bill.lines("stt"), what="the request")
        asking.cancel()
        await asyncio.wait([asking])
    (request,) = outbox.usage()
    (line,) = await bill.lines("stt")
    assert (request.cancelled, request.estimated) == (True, True)
    assert request.audio_ms == line["audio_ms"] == 1000


async def test_a_fallback_adapter_is_no_request_of_its_own(
    outbox: Outbox, ear: plugins.STT, client: openai.AsyncOpenAI, bill: Bill
) -> None:
    """The one that failed, the one that answered, and the asking whether it is back are."""
    adapted = stt.StreamAdapter(stt=ear, vad=silero.VAD.load())
    async with faulty(client, WORDS, {"on": "stt", "do": "fail", "when": "only 1"}):
        both = stt.FallbackAdapter([adapted, adapted], max_retry_per_stt=0)
        await both.recognize(SPOKEN)
    found = {(each.audio_ms, each.metadata.get("purpose")) for each in outbox.usage()}
    assert found == {(0, None), (1000, None), (1000, "recovery_probe")}
    assert len(await bill.lines("stt")) == 2


async def test_the_requests_of_a_turn_are_its_messages(
    outbox: Outbox, ear: plugins.STT, client: openai.AsyncOpenAI
) -> None:
    """The vain attempt too; what held no words is the call's alone."""
    turns = outbox.recorder.turns
    async with faulty(client, SCRIPT, {"on": "stt", "do": "empty"}):
        await ear.recognize(SPOKEN)
    async with faulty(client, WORDS, {"on": "stt", "do": "fail", "when": "only 1"}):
        await ear.recognize(SPOKEN, conn_options=PATIENT)
    message_id = outbox.header.key
    turns._ledger.heard(message_id)
    cough, vain, heard = outbox.usage()
    assert (cough.message_id, cough.metadata["purpose"]) == (None, "no_words")
    assert vain.message_id == heard.message_id == message_id
    outbox.recorder.finish("caller_hangup", now(), {})
    assert not outbox.recorder.gaps()


async def test_a_meter_that_fails_leaves_the_words_alone(
    outbox: Outbox, ear: plugins.STT, client: openai.AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_script(client, WORDS)
    monkeypatch.delattr(Meter, "begin")
    heard = await ear.recognize(SPOKEN)
    assert heard.alternatives[0].text == "Good morning."
    # LiveKit's metrics count in its place.
    assert [each.audio_ms for each in outbox.usage()] == [1000]
    assert outbox.recorder.gaps() == [f"stt {ear.provider}/whisper-1: 1 request not seen"]
