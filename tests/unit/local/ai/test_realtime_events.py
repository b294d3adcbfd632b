"""What a Realtime client may ask for, what is refused, and what goes wrong on demand."""

import json

import aiohttp
import openai
import pytest
import pytest_asyncio

from tests.unit.local.ai.realtime_line import (
    FAST,
    IN_TEXT,
    REPLY,
    TRANSCRIBED,
    kinds,
    only,
    said,
    session,
)
from tests.unit.local.ai_control import faulty, set_script

PHONE = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(scripted: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """The models with this file's script."""
    await set_script(scripted, FAST)
    return scripted


async def test_a_session_keeps_what_is_not_updated(client: openai.AsyncOpenAI) -> None:
    async with session(client, {"instructions": "Be kind."}, TRANSCRIBED) as line:
        detection = {"type": "semantic_vad", "eagerness": "high"}
        audio = {"input": {"turn_detection": detection}, "output": {"speed": 1.5}}
        await line.send("session.update", session={"type": "realtime", "audio": audio})
        updated = (await line.next())["session"]
    assert updated["instructions"] == "Be kind."
    assert updated["audio"]["input"]["transcription"] == {"model": "gpt-4o-mini-transcribe"}
    assert updated["audio"]["input"]["turn_detection"] == detection | {
        "create_response": True,
        "interrupt_response": True,
    }
    assert (updated["audio"]["output"]["speed"], updated["model"]) == (1.5, "gpt-realtime")


async def test_the_client_interrupts_and_truncates(client: openai.AsyncOpenAI) -> None:
    """What was not heard is forgotten: its words and its cost."""
    async with session(client) as line:
        await line.say("tell me a story")
        await line.send("response.create")
        begun = await line.until("response.output_audio.delta")
        await line.send("response.create", event_id="mine")
        error = await line.refused()
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "mine"
        await line.send("response.cancel")
        done = (await line.until("response.done"))[-1]["response"]
        assert done["status_details"]["reason"] == "client_cancelled"
        await line.send("response.cancel")
        assert (await line.refused())["message"].startswith("Cancellation failed")
        item_id = only(begun, "response.output_item.added")["item"]["id"]
        cut = {"item_id": item_id, "content_index": 0}
        await line.send("conversation.item.truncate", **cut, audio_end_ms=60_000)
        assert "already shorter" in (await line.refused())["message"]
        await line.send("conversation.item.truncate", **cut, audio_end_ms=100)
        assert (await line.next())["audio_end_ms"] == 100
        await line.send("conversation.item.retrieve", item_id=item_id)
        part = (await line.next())["item"]["content"][0]
        assert 0 < len(part["transcript"].split()) < 60
        answer = await line.ask("what is the weather")
        details = answer[-1]["response"]["usage"]["input_token_details"]
        assert (details["text_tokens"], details["audio_tokens"]) == (4 + 4, 2)


async def test_items_are_placed_and_deleted(client: openai.AsyncOpenAI) -> None:
    async with session(client, IN_TEXT) as line:
        places: list[str | None] = []
        for name, after in (("b", None), ("a", "root"), ("c", None), ("d", "a")):
            content = [{"type": "input_text", "text": name}]
            item = {"id": name, "type": "message", "role": "user", "content": content}
            await line.send("conversation.item.create", item=item, previous_item_id=after)
            places.append((await line.until("conversation.item.done"))[0]["previous_item_id"])
        assert places == [None, None, "b", "a"]
        await line.send("conversation.item.create", item=item)
        assert (await line.refused())["code"] == "item_create_duplicate_item_id"
        await line.send("conversation.item.delete", item_id="d")
        assert (await line.next())["type"] == "conversation.item.deleted"
        await line.send("conversation.item.delete", item_id="d")
        assert (await line.refused())["code"] == "item_delete_invalid_item_id"
        answer = await line.ask("hello")
        assert answer[-1]["response"]["usage"]["input_tokens"] == 4


async def test_a_response_can_stay_out_of_the_conversation(client: openai.AsyncOpenAI) -> None:
    async with session(client, IN_TEXT) as line:
        content = [{"type": "input_text", "text": "what is the weather"}]
        item = {"type": "message", "role": "user", "content": content}
        await line.send("response.create", response={"conversation": "none", "input": [item]})
        events = await line.until("response.done")
        assert said(events, "response.output_text.delta") == REPLY
        assert "conversation.item.added" not in kinds(events)
        assert (await line.ask("hi"))[-1]["response"]["usage"]["input_tokens"] == 1


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ("no json", "invalid_json", None),
        ("[]", "invalid_json", None),
        ("{}", "missing_required_parameter", "type"),
        ('{"type": "session.explode"}', "invalid_value", "type"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "invalid_value", None),
        ('{"type": "conversation.item.create", "item": {"type": "song"}}', "invalid_value", None),
        ('{"type": "session.update", "session": {"a": 1}}', "unknown_parameter", "session.a"),
        (
            json.dumps({"type": "session.update", "session": PHONE}),
            "invalid_value",
            "session.audio.output.format",
        ),
    ],
)
async def test_a_wrong_event_is_refused(
    client: openai.AsyncOpenAI, event: str, code: str, param: str | None
) -> None:
    """And the session goes on."""
    async with session(client, IN_TEXT) as line:
        await line.socket.send_str(event)
        error = await line.refused()
        assert error["code"] == code
        assert param is None or error["param"] == param
        assert (await line.ask("hi"))[-1]["type"] == "response.done"


async def test_responses_go_wrong_on_demand(client: openai.AsyncOpenAI) -> None:
    async with faulty(
        client,
        FAST,
        {"on": "realtime", "do": "fail", "status": 429, "when": "only 1"},
        {"on": "realtime", "do": "empty", "when": "only 2"},
        {"on": "realtime", "do": "unknown_tool", "when": "only 3"},
        {"on": "realtime", "do": "bad_arguments", "when": "only 4"},
        {"on": "realtime", "do": "stall", "after": 2, "when": "only 5"},
        {"on": "realtime", "do": "cut", "after": 2, "when": "only 6"},
    ):
        async with session(client, IN_TEXT) as line:
            failed = (await line.ask("weather"))[-1]["response"]
            assert failed["status"] == "failed"
            assert failed["status_details"]["error"]["code"] == "rate_limit_exceeded"
            assert (await line.ask("weather"))[-1]["response"]["output"] == []
            calls = [(await line.ask("weather"))[-1]["response"]["output"][0] for _ in range(2)]
            assert calls[0]["name"] == "no_such_tool"
            with pytest.raises(json.JSONDecodeError):
                json.loads(calls[1]["arguments"])
            await line.send("response.create")
            for _ in range(2):
                await line.until("response.output_text.delta")
            with pytest.raises(TimeoutError):
                await line.socket.receive(timeout=0.3)
        async with session(client, IN_TEXT) as line:
            await line.say("weather")
            await line.send("response.create")
            for _ in range(2):
                await line.until("response.output_text.delta")
            assert (await line.socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSED


async def test_transcripts_go_wrong_on_demand(client: openai.AsyncOpenAI) -> None:
    """What the model heard and answers is not touched by it."""
    async with (
        faulty(
            client,
            FAST,
            {"on": "stt", "do": "fail", "when": "only 1"},
            {"on": "stt", "do": "empty", "when": "only 2"},
        ),
        session(client, TRANSCRIBED) as line,
    ):
        for kind in ("failed", "completed"):
            await line.speak(0.3)
            events = await line.until("response.done")
            assert said(events) == REPLY
            told = only(events, f"conversation.item.input_audio_transcription.{kind}")
            assert told.get("transcript", "") == ""


async def test_a_session_cannot_be_opened_on_demand(client: openai.AsyncOpenAI) -> None:
    async with faulty(client, FAST, {"on": "connect", "do": "fail", "status": 401}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with session(client):
                pass
        assert refused.value.status == 401
