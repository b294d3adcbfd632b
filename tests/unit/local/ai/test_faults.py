"""Faults on demand, as OpenAI's own client meets them."""

import asyncio
import io
import json
import time
import wave
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from local.ai import script as scripts
from local.errors import SettingsError
from tests.unit.local.ai_control import control_url, set_script
from tests.waiting import until

FAST: dict[str, Any] = {"tts": "tone", "stt": ["hello"] * 9}
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {}},
}
KINDS = ["llm", "tts", "stt"]
BROKEN = (openai.APIConnectionError, httpx2.RemoteProtocolError, httpx2.ReadError)
LATE = (openai.APITimeoutError, httpx2.ReadTimeout)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(scripted: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """The models with this file's script; each test gives them one of its own."""
    await set_script(scripted, FAST)
    return scripted


@pytest.mark.parametrize("on", KINDS)
@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (500, openai.InternalServerError, None),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (401, openai.AuthenticationError, "invalid_api_key"),
        (418, openai.APIStatusError, None),
    ],
)
async def test_a_request_fails(
    client: openai.AsyncOpenAI,
    on: str,
    status: int,
    error: type[openai.APIStatusError],
    code: str | None,
) -> None:
    """The client raises the class of the status, and finds OpenAI's code."""
    await _faults(client, {"on": on, "do": "fail", "status": status})
    with pytest.raises(error) as caught:
        await _ask(client, on)
    assert caught.value.status_code == status
    assert caught.value.code == code


async def test_an_error_is_worded_by_the_script(client: openai.AsyncOpenAI) -> None:
    await _faults(
        client,
        {
            "on": "llm",
            "do": "fail",
            "status": 429,
            "code": "insufficient_quota",
            "message": "You exceeded your current quota.",
        },
    )
    with pytest.raises(openai.RateLimitError, match="exceeded your current") as caught:
        await _ask(client, "llm")
    assert (caught.value.code, caught.value.type) == ("insufficient_quota",) * 2


@pytest.mark.parametrize("on", KINDS)
@pytest.mark.parametrize("after", [None, 1])
async def test_a_request_stalls(client: openai.AsyncOpenAI, on: str, after: int | None) -> None:
    """Before the answer or in it; the server forgets the request when its client does."""
    await _faults(client, {"on": on, "do": "stall"} | ({} if after is None else {"after": after}))
    with pytest.raises(LATE):
        await _ask(client.with_options(timeout=0.3), on)


@pytest.mark.parametrize("on", KINDS)
@pytest.mark.parametrize("after", [0, 1])
async def test_a_connection_is_cut(client: openai.AsyncOpenAI, on: str, after: int) -> None:
    await _faults(client, {"on": on, "do": "cut", "after": after})
    with pytest.raises(BROKEN):
        await _ask(client, on)


async def test_pieces_before_a_fault_arrive(client: openai.AsyncOpenAI) -> None:
    """The role and two words of the reply, then nothing more."""
    reply = {"default": {"reply": "one two three four"}}
    for do, error in (("cut", BROKEN), ("stall", LATE)):
        await _faults(client, {"on": "llm", "do": do, "after": 3}, **reply)
        said: list[str] = []
        with pytest.raises(error):
            await _stream(client.with_options(timeout=0.3), said)
        assert "".join(said) == "one two"


@pytest.mark.parametrize("on", KINDS)
async def test_nothing_is_returned(client: openai.AsyncOpenAI, on: str) -> None:
    await _faults(client, {"on": on, "do": "empty"})
    assert await _ask(client, on) == ""
    await _faults(client)
    assert await _ask(client, on)


@pytest.mark.parametrize("on", KINDS)
async def test_an_answer_is_slow(client: openai.AsyncOpenAI, on: str) -> None:
    await _faults(client, {"on": on, "do": "slow", "delay_s": 0.1, "pause_s": 0.1})
    begin = time.monotonic()
    assert await _ask(client, on)
    assert time.monotonic() - begin >= 0.2


async def test_a_tool_is_called_that_nobody_has(client: openai.AsyncOpenAI) -> None:
    await _faults(client, {"on": "llm", "do": "unknown_tool"})
    assert await _call(client) == ("no_such_tool", "{}")


async def test_arguments_are_no_json(client: openai.AsyncOpenAI) -> None:
    """They are those of a tool that exists, so that only they are wrong."""
    await _faults(client, {"on": "llm", "do": "bad_arguments"})
    name, arguments = await _call(client)
    assert name == "look_up"
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)


@pytest.mark.parametrize(
    ("when", "hit"),
    [
        ("always", [1, 1, 1, 1]),
        ("first 2", [1, 1, 0, 0]),
        ("from 3", [0, 0, 1, 1]),
        ("only 2", [0, 1, 0, 0]),
    ],
)
async def test_requests_are_chosen_by_number(
    client: openai.AsyncOpenAI, when: str, hit: list[int]
) -> None:
    await _faults(client, {"on": "tts", "do": "empty", "when": when})
    assert [int(not await _ask(client, "tts")) for _ in range(4)] == hit


async def test_requests_are_chosen_by_their_text(client: openai.AsyncOpenAI) -> None:
    """Only those that match are counted, and the first fault that hits wins."""
    await _faults(
        client,
        {"on": "llm", "do": "empty", "match": "there", "when": "only 2"},
        {"on": "llm", "do": "unknown_tool", "match": "^HELLO", "when": "from 2"},
    )
    others: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Good bye"}]
    for messages, call in ((HELLO, None), (others, None), (HELLO, None), (HELLO, "no_such_tool")):
        answer = await client.chat.completions.create(model="m", messages=messages)
        calls: Any = answer.choices[0].message.tool_calls
        assert (calls[0].function.name if calls else None) == call
    assert (await _requests(client))[-4:] == [
        {"on": "llm", "fault": fault} for fault in (None, None, "empty", "unknown_tool")
    ]


async def test_a_fault_begins_while_requests_run(client: openai.AsyncOpenAI) -> None:
    """One that was begun under the old script ends by it."""
    await _faults(client, default={"reply": "one two three", "tokens_per_s": 10})
    said: list[str] = []
    running = asyncio.create_task(_stream(client, said))
    await until(lambda: said)
    await _faults(client, {"on": "llm", "do": "fail"})
    with pytest.raises(openai.InternalServerError):
        await _ask(client, "llm")
    await running
    assert "".join(said) == "one two three"


async def test_a_cut_reply_is_billed_for_what_was_sent(client: openai.AsyncOpenAI) -> None:
    await _faults(
        client, {"on": "llm", "do": "cut", "after": 3}, default={"reply": "one two three four"}
    )
    with pytest.raises(BROKEN):
        await _stream(client, [])
    bill: Any = await client.get(control_url(client, "bill"), cast_to=object)
    line = bill["requests"][-1]
    assert (line["prompt_tokens"], line["completion_tokens"]) == (2, 2)
    assert not line["finished"]


async def test_a_wrong_script_changes_nothing(client: openai.AsyncOpenAI) -> None:
    await _faults(client, {"on": "tts", "do": "empty"})
    async with httpx2.AsyncClient() as http:
        url = control_url(client, "script")
        wrong = await http.post(url, json={"faults": [{"on": "tts", "do": "explode"}]})
        no_json = await http.post(url, content=json.dumps(FAST))
    assert (wrong.status_code, no_json.status_code) == (400, 415)
    assert "explode" in wrong.json()["error"]["message"]
    assert "application/json" in no_json.json()["error"]["message"]
    assert await _ask(client, "tts") == ""


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"on": "stt", "do": "fail", "match": "a"}, "has no text"),
        ({"on": "tts", "do": "unknown_tool"}, "call tools"),
        ({"on": "llm", "do": "fail", "match": "("}, "unterminated"),
        ({"on": "llm", "do": "fail", "when": "sometimes"}, r"faults\[0\].when"),
        ({"on": "llm", "do": "fail", "status": 200}, r"faults\[0\].status"),
        ({"on": "llm", "do": "stall", "status": 500}, "unknown field `status`"),
    ],
)
def test_a_wrong_fault_is_told(tmp_path: Path, fault: dict[str, Any], told: str) -> None:
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"faults": [fault]}))
    with pytest.raises(SettingsError, match=told):
        scripts.load(file)


async def _faults(client: openai.AsyncOpenAI, *faults: dict[str, Any], **more: Any) -> None:
    await set_script(client, FAST | {"faults": faults} | more)


async def _ask(client: openai.AsyncOpenAI, on: str) -> str:
    """What one request of a kind returns: a reply, the size of the audio, a transcript."""
    if on == "llm":
        answer = await client.chat.completions.create(model="m", messages=HELLO)
        return answer.choices[0].message.content or ""
    if on == "tts":
        speech = await client.audio.speech.create(
            model="tts-1", voice="alloy", input="one two three four five", response_format="pcm"
        )
        return str(len(speech.content) or "")
    heard = await client.audio.transcriptions.create(
        model="whisper-1", file=("speech.wav", _silence())
    )
    return heard.text


async def _stream(client: openai.AsyncOpenAI, said: list[str]) -> None:
    stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
    async for chunk in stream:
        said += filter(None, [chunk.choices[0].delta.content])


async def _call(client: openai.AsyncOpenAI) -> tuple[str, str]:
    """The name and arguments of the tool called in a streamed reply."""
    stream = await client.chat.completions.create(
        model="m", messages=HELLO, tools=[TOOL], stream=True
    )
    functions = [
        call.function
        async for chunk in stream
        for call in chunk.choices[0].delta.tool_calls or []
        if call.function
    ]
    return (
        "".join(function.name or "" for function in functions),
        "".join(function.arguments or "" for function in functions),
    )


async def _requests(client: openai.AsyncOpenAI) -> list[dict[str, Any]]:
    answer: Any = await client.get(control_url(client, "requests"), cast_to=object)
    return list(answer["requests"])


def _silence() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(24_000)
        writer.writeframes(bytes(4_800))
    return file.getvalue()
