"""The scripted language model: every word and token is known beforehand."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam

from local.ai import script as scripts
from local.errors import SettingsError
from tests.unit.local.servers import ai_server

SCRIPT = {
    "rules": [
        {"match": "weather", "reply": "It is  sunny today."},
        {
            "match": "order",
            "reply": "One moment.",
            "tool_call": {"name": "look_up", "arguments": {"order": 7, "what": "status"}},
            "after_tool": "It is on its way.",
        },
        {"match": "slow", "reply": "one two three four", "delay_s": 0.2, "tokens_per_s": 20},
    ],
    "default": {"reply": "Yes."},
    "tts": "tone",
    "stt": ["hello", "what is the weather"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[openai.AsyncOpenAI]:
    """One scripted server for this file."""
    async with ai_server(tmp_path_factory.mktemp("script"), SCRIPT) as opened:
        yield opened


@pytest.mark.parametrize(
    ("said", "reply"),
    [("What is the WEATHER like?", "It is  sunny today."), ("Anything else", "Yes.")],
)
async def test_the_first_rule_that_matches_answers(
    client: openai.AsyncOpenAI, said: str, reply: str
) -> None:
    """Words are tokens, those of every message in the prompt and those of the reply."""
    answer = await client.chat.completions.create(
        model="m",
        messages=[
            {"role": "system", "content": "You are kind."},
            {"role": "user", "content": [{"type": "text", "text": said}]},
        ],
    )
    assert answer.choices[0].message.content == reply
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3 + len(said.split())
    assert answer.usage.completion_tokens == len(reply.split())


async def test_only_the_last_thing_said_counts(client: openai.AsyncOpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "weather"},
        {"role": "assistant", "content": "It is sunny."},
        {"role": "user", "content": "Thanks"},
    ]
    answer = await client.chat.completions.create(model="m", messages=messages)
    assert answer.choices[0].message.content == "Yes."


async def test_a_tool_is_called_and_its_result_answered(client: openai.AsyncOpenAI) -> None:
    """The client puts the pieces of a call together; the result leads to ``after_tool``."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Where is my order?"}]
    tool: Any = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    async with client.chat.completions.stream(
        model="m", messages=messages, tools=[tool], stream_options={"include_usage": True}
    ) as stream:
        answer = await stream.get_final_completion()
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "One moment."
    calls = choice.message.tool_calls
    assert calls is not None
    assert json.loads(calls[0].function.arguments) == {"order": 7, "what": "status"}
    assert answer.usage is not None
    # "One moment." look_up {"order": 7, "what": "status"}
    assert answer.usage.completion_tokens == 2 + 1 + 4

    asked: Any = choice.message.model_dump(exclude={"parsed"}, exclude_none=True)
    messages += [asked, {"role": "tool", "tool_call_id": calls[0].id, "content": "sent"}]
    answer_after = await client.chat.completions.create(model="m", messages=messages)
    assert answer_after.choices[0].message.content == "It is on its way."


async def test_delay_and_rate_are_kept(client: openai.AsyncOpenAI) -> None:
    begin = time.monotonic()
    stream = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "slow"}], stream=True
    )
    times = {
        chunk.choices[0].delta.content: time.monotonic() - begin
        async for chunk in stream
        if chunk.choices[0].delta.content
    }
    assert list(times) == ["one", " two", " three", " four"]
    assert times["one"] >= 0.2
    assert times[" four"] - times["one"] == pytest.approx(0.15, abs=0.08)


async def test_a_cut_reply_is_billed_for_what_was_sent(client: openai.AsyncOpenAI) -> None:
    """The bill tells the words sent until the client went away, although no usage did."""
    stream = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "slow"}], stream=True
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.close()
    bill: Any = await client.get(str(client.base_url).replace("/v1/", "/bill"), cast_to=object)
    lines = bill["requests"]
    (cut,) = [line for line in lines if line["id"] == chunk.id]
    assert cut["prompt_tokens"] == 1
    assert 1 <= cut["completion_tokens"] < 4
    assert not cut["finished"]
    assert all(line["finished"] for line in lines if line["id"] != chunk.id)


async def test_a_tone_lasts_60_ms_a_word(client: openai.AsyncOpenAI) -> None:
    speech = await client.audio.speech.create(
        model="tts-1", voice="alloy", input="one two three four five", response_format="pcm"
    )
    assert len(speech.content) / 2 / 24_000 == pytest.approx(5 * 0.06, abs=0.001)


async def test_transcripts_come_one_after_the_other(client: openai.AsyncOpenAI) -> None:
    speech = await client.audio.speech.create(model="tts-1", voice="alloy", input="one two")
    heard = [
        (
            await client.audio.transcriptions.create(
                model="whisper-1", file=("speech.mp3", speech.content)
            )
        ).text
        for _ in range(3)
    ]
    assert heard == ["hello", "what is the weather", ""]


@given(st.text())
def test_pieces_are_the_text_again(text: str) -> None:
    """Streaming loses no character of a reply that has a word in it."""
    if text.strip():
        assert "".join(scripts.pieces(text)) == text
        assert len(scripts.pieces(text)) == scripts.count_words(text)


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"rulez": []}', '{"rules": [{"match": "("}]}', '{"tts": "shout"}'],
)
def test_a_wrong_script_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "script.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"script\.json"):
        scripts.load(file)


def test_a_missing_script_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        scripts.load(tmp_path / "none.json")
