"""Turns and replies of a Realtime session; OpenAI's own types check every event."""

import json

import openai
import pytest
import pytest_asyncio

from tests.unit.local.ai.realtime_line import (
    BY_HAND,
    FAST,
    IN_TEXT,
    REPLY,
    TRANSCRIBED,
    kinds,
    only,
    said,
    session,
    sound,
    tone,
)
from tests.unit.local.ai_control import set_script


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(scripted: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """The models with this file's script."""
    await set_script(scripted, FAST)
    return scripted


async def test_speech_is_answered_by_speech(client: openai.AsyncOpenAI) -> None:
    """A turn found by the server: every event in OpenAI's order, and the cost of it all."""
    async with session(client, {"instructions": "Be kind."}, TRANSCRIBED) as line:
        await line.speak(0.5)
        events = await line.until("response.done")
    assert [kind for kind in kinds(events) if "transcription" not in kind] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    heard = only(events, "conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == "what is the weather"
    # The tone, the half second that ended it, and a little before it that is silence here.
    assert 10 <= heard["usage"]["input_tokens"] <= 12
    assert heard["item_id"] == only(events, "input_audio_buffer.committed")["item_id"]
    assert said(events) == REPLY
    seconds = len(sound(events)) / 2 / 24_000
    assert seconds == pytest.approx(6 * 0.06, abs=0.01)
    response = events[-1]["response"]
    assert response["output"][0]["content"][0]["transcript"] == REPLY
    usage = response["usage"]
    assert usage["input_token_details"]["text_tokens"] == 2
    assert usage["input_token_details"]["audio_tokens"] == heard["usage"]["input_tokens"]
    assert usage["output_token_details"] == {"text_tokens": 6, "audio_tokens": 8}
    assert usage["total_tokens"] == usage["input_tokens"] + 14


async def test_a_session_can_be_of_text(client: openai.AsyncOpenAI) -> None:
    """What was in the prompt before is told to be cached."""
    async with session(client, IN_TEXT) as line:
        events = await line.ask("what is the weather", metadata={"mine": "1"})
        again = await line.ask("thanks")
    assert said(events, "response.output_text.delta") == REPLY
    response = events[-1]["response"]
    assert (response["status"], response["metadata"]) == ("completed", {"mine": "1"})
    assert response["usage"]["input_token_details"]["cached_tokens"] == 0
    assert response["usage"]["output_token_details"] == {"text_tokens": 6, "audio_tokens": 0}
    details = again[-1]["response"]["usage"]["input_token_details"]
    assert (details["text_tokens"], details["cached_tokens"]) == (4 + 6 + 1, 4)


async def test_a_function_is_called_and_answered(client: openai.AsyncOpenAI) -> None:
    async with session(client) as line:
        events = await line.ask("where is my order")
        call = events[-1]["response"]["output"][0]
        assert (call["name"], json.loads(call["arguments"])) == ("look_up", {"order": 7})
        given = "".join(
            e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"
        )
        assert given == call["arguments"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sent"}
        await line.send("conversation.item.create", item=output)
        await line.send("response.create")
        assert said(await line.until("response.done")) == "It is on its way."
        await line.send("conversation.item.create", item=output | {"call_id": "call_none"})
        assert (await line.refused())["code"] == "invalid_tool_call_id"


async def test_the_client_may_end_its_turns(client: openai.AsyncOpenAI) -> None:
    async with session(client, BY_HAND, TRANSCRIBED) as line:
        await line.send("input_audio_buffer.append", audio=tone(0.4, loud=True))
        await line.send("input_audio_buffer.clear")
        await line.send("input_audio_buffer.commit")
        assert (await line.refused())["code"] == "input_audio_buffer_commit_empty"
        await line.send("input_audio_buffer.append", audio=tone(0.4, loud=True))
        await line.send("input_audio_buffer.commit")
        events = await line.until("conversation.item.input_audio_transcription.completed")
        assert events[-1]["usage"]["input_tokens"] == 4
        await line.send("response.create")
        assert said(await line.until("response.done")) == REPLY


async def test_speech_interrupts(client: openai.AsyncOpenAI) -> None:
    """The reply ends where the caller began, and its usage is what was made of it."""
    async with session(client) as line:
        await line.say("tell me a story")
        await line.send("response.create")
        begun = await line.until("response.output_audio.delta")
        await line.speak(0.3)
        rest = await line.until("response.done")
        events = begun + rest
        response = events[-1]["response"]
        assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert response["output"][0]["status"] == "incomplete"
        sent_s = len(sound(events)) / 2 / 24_000
        assert 0.1 < sent_s < 3.0
        assert response["usage"]["output_token_details"]["audio_tokens"] == round(sent_s * 20)
        assert said(await line.until("response.done")) == REPLY


async def test_speech_need_not_interrupt(client: openai.AsyncOpenAI) -> None:
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    async with session(client, {"audio": {"input": {"turn_detection": detection}}}) as line:
        await line.say("tell me a story")
        await line.send("response.create")
        await line.until("response.output_audio.delta")
        await line.speak(0.3)
        events = await line.until("response.done")
    assert "input_audio_buffer.committed" in kinds(events)
    assert events[-1]["response"]["status"] == "completed"
