"""The Realtime protocol, event by event; OpenAI's own types check each that the server sends."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest
import pytest_asyncio
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from tests.local.servers import ai_server

EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
REPLY = "It is sunny. Take a hat."
LONG = "word " * 60
FAST: dict[str, Any] = {
    "rules": [
        {"match": "weather", "reply": REPLY},
        {"match": "story", "reply": LONG},
        {
            "match": "order",
            "reply": None,
            "tool_call": {"name": "look_up", "arguments": {"order": 7}},
            "after_tool": "It is on its way.",
        },
    ],
    "tts": "tone",
    "stt": ["what is the weather"] * 20,
}
TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
PHONE = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
BY_HAND = {"audio": {"input": {"turn_detection": None}}}
IN_TEXT = {"output_modalities": ["text"]}
DELTAS = {
    "response.output_audio.delta",
    "response.output_audio_transcript.delta",
    "response.output_text.delta",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """One server for this file; a test that changes its script says so."""
    async with ai_server(tmp_path_factory.mktemp("realtime"), FAST) as opened:
        yield opened


class Line:
    """A client's end of a session; keeps what came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event."""
        await self._socket.send_str(json.dumps({"type": kind} | fields))

    async def next(self) -> dict[str, Any]:
        """The next event, which must be as OpenAI describes it."""
        event: dict[str, Any] = await self._socket.receive_json(timeout=5)
        EVENTS.validate_python(event)
        return event

    async def until(self, *kinds: str) -> list[dict[str, Any]]:
        """Every event up to the first of a kind."""
        events = [await self.next()]
        while events[-1]["type"] not in kinds:
            events.append(await self.next())
        return events

    async def ask(self, text: str, **params: Any) -> list[dict[str, Any]]:
        """Say a text and hear the whole response."""
        await self.say(text)
        await self.send("response.create", response=params)
        return await self.until("response.done", "error")

    async def say(self, text: str) -> None:
        """Put a text of the caller into the conversation."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item)
        await self.until("conversation.item.done")

    async def speak(self, seconds: float = 0.5) -> None:
        """A tone, and then the silence that ends a turn."""
        for length, loud in ((seconds, True), (0.7, False)):
            for _ in range(round(length * 10)):
                await self.send("input_audio_buffer.append", audio=_audio(0.1, loud=loud))

    async def refused(self) -> dict[str, Any]:
        """The next error."""
        error: dict[str, Any] = (await self.until("error"))[-1]["error"]
        return error


@asynccontextmanager
async def session(client: openai.AsyncOpenAI, *updates: dict[str, Any]) -> AsyncIterator[Line]:
    """An open session, updated."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{client.base_url}realtime?model=gpt-realtime") as socket,
    ):
        line = Line(socket)
        assert (await line.next())["type"] == "session.created"
        for update in updates:
            await line.send("session.update", session={"type": "realtime"} | update)
            assert (await line.next())["type"] == "session.updated"
        yield line


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


async def test_speech_is_answered_by_speech(client: openai.AsyncOpenAI) -> None:
    """A turn found by the server: every event in OpenAI's order, and the cost of it all."""
    async with session(client, {"instructions": "Be kind."}, TRANSCRIBED) as line:
        await line.speak(0.5)
        events = await line.until("response.done")
    assert [kind for kind in _kinds(events) if "transcription" not in kind] == [
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
    heard = _only(events, "conversation.item.input_audio_transcription.completed")
    assert heard["transcript"] == "what is the weather"
    # The tone, the half second that ended it, and a little before it that is silence here.
    assert 10 <= heard["usage"]["input_tokens"] <= 12
    assert heard["item_id"] == _only(events, "input_audio_buffer.committed")["item_id"]
    assert _said(events) == REPLY
    seconds = len(_sound(events)) / 2 / 24_000
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
    assert _said(events, "response.output_text.delta") == REPLY
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
        assert _said(await line.until("response.done")) == "It is on its way."
        await line.send("conversation.item.create", item=output | {"call_id": "call_none"})
        assert (await line.refused())["code"] == "invalid_tool_call_id"


async def test_the_client_may_end_its_turns(client: openai.AsyncOpenAI) -> None:
    async with session(client, BY_HAND, TRANSCRIBED) as line:
        await line.send("input_audio_buffer.append", audio=_audio(0.4, loud=True))
        await line.send("input_audio_buffer.clear")
        await line.send("input_audio_buffer.commit")
        assert (await line.refused())["code"] == "input_audio_buffer_commit_empty"
        await line.send("input_audio_buffer.append", audio=_audio(0.4, loud=True))
        await line.send("input_audio_buffer.commit")
        events = await line.until("conversation.item.input_audio_transcription.completed")
        assert events[-1]["usage"]["input_tokens"] == 4
        await line.send("response.create")
        assert _said(await line.until("response.done")) == REPLY


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
        sent_s = len(_sound(events)) / 2 / 24_000
        assert 0.1 < sent_s < 3.0
        assert response["usage"]["output_token_details"]["audio_tokens"] == round(sent_s * 20)
        assert _said(await line.until("response.done")) == REPLY


async def test_speech_need_not_interrupt(client: openai.AsyncOpenAI) -> None:
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    async with session(client, {"audio": {"input": {"turn_detection": detection}}}) as line:
        await line.say("tell me a story")
        await line.send("response.create")
        await line.until("response.output_audio.delta")
        await line.speak(0.3)
        events = await line.until("response.done")
    assert "input_audio_buffer.committed" in _kinds(events)
    assert events[-1]["response"]["status"] == "completed"


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
        item_id = _only(begun, "response.output_item.added")["item"]["id"]
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
        assert _said(events, "response.output_text.delta") == REPLY
        assert "conversation.item.added" not in _kinds(events)
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
        await line._socket.send_str(event)
        error = await line.refused()
        assert error["code"] == code
        assert param is None or error["param"] == param
        assert (await line.ask("hi"))[-1]["type"] == "response.done"


async def test_responses_go_wrong_on_demand(client: openai.AsyncOpenAI) -> None:
    async with faulty(
        client,
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
                await line._socket.receive(timeout=0.3)
        async with session(client, IN_TEXT) as line:
            await line.say("weather")
            await line.send("response.create")
            for _ in range(2):
                await line.until("response.output_text.delta")
            assert (await line._socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSED


async def test_transcripts_go_wrong_on_demand(client: openai.AsyncOpenAI) -> None:
    """What the model heard and answers is not touched by it."""
    async with (
        faulty(
            client,
            {"on": "stt", "do": "fail", "when": "only 1"},
            {"on": "stt", "do": "empty", "when": "only 2"},
        ),
        session(client, TRANSCRIBED) as line,
    ):
        for kind in ("failed", "completed"):
            await line.speak(0.3)
            events = await line.until("response.done")
            assert _said(events) == REPLY
            told = _only(events, f"conversation.item.input_audio_transcription.{kind}")
            assert told.get("transcript", "") == ""


async def test_a_session_cannot_be_opened_on_demand(client: openai.AsyncOpenAI) -> None:
    async with faulty(client, {"on": "connect", "do": "fail", "status": 401}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with session(client):
                pass
        assert refused.value.status == 401


@asynccontextmanager
async def faulty(client: openai.AsyncOpenAI, *faults: dict[str, Any]) -> AsyncIterator[None]:
    """The file's script with faults, for a while."""
    url = str(client.base_url).replace("/v1/", "/script")
    await client.post(url, body=FAST | {"faults": faults}, cast_to=object)
    yield
    await client.post(url, body=FAST, cast_to=object)


def _kinds(events: list[dict[str, Any]]) -> list[str]:
    """The kinds of the events; deltas that follow each other are one."""
    kinds = [event["type"] for event in events]
    return [
        kind
        for before, kind in zip([None, *kinds], kinds, strict=False)
        if kind != before or kind not in DELTAS
    ]


def _only(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (event,) = [event for event in events if event["type"] == kind]
    return event


def _said(
    events: list[dict[str, Any]], kind: str = "response.output_audio_transcript.delta"
) -> str:
    return "".join(event["delta"] for event in events if event["type"] == kind)


def _sound(events: list[dict[str, Any]]) -> bytes:
    deltas = [event["delta"] for event in events if event["type"] == "response.output_audio.delta"]
    return b"".join(map(base64.b64decode, deltas))


def _audio(seconds: float, *, loud: bool) -> str:
    wave = np.sin(np.arange(round(seconds * 24_000)) / 10) * (8_000 if loud else 0)
    return base64.b64encode(wave.astype(np.int16).tobytes()).decode()
