"""A first provider that fails, and a second one that answers: the caller notices nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import openai
import pytest

from local.caller import Caller, Server
from local.caller.voice import Voice
from local.demo.rows import Rows
from local.stack import Stack
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.worker import Worker
from tests.unit.local.ai_control import set_script
from tests.unit.local.servers import ai_server
from tests.waiting import until

pytestmark = pytest.mark.room

FAILS = {
    "tts": "tone",
    "stt": [],
    "faults": [
        {"on": "stt", "do": "fail", "status": 503},
        {"on": "llm", "do": "fail", "status": 500},
        {"on": "tts", "do": "fail", "status": 500},
    ],
}
STALLS = FAILS | {"faults": [{"on": each, "do": "stall"} for each in ("stt", "llm", "tts")]}
ANSWERS = {
    "tts": "tone",
    "stt": ["What is your name?"],
    "rules": [{"match": "name", "reply": "My name is Robin."}],
}


@dataclass(frozen=True)
class Providers:
    """Two AI servers, each with a script of its own."""

    first: openai.AsyncOpenAI
    second: openai.AsyncOpenAI


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    """Both providers."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    async with (
        ai_server(tmp_path / "first", FAILS) as first,
        ai_server(tmp_path / "second", ANSWERS) as second,
    ):
        yield Providers(first, second)


@pytest.fixture
async def worker(
    providers: Providers, stack: Stack, server: Server, database_url: str, tmp_path: Path
) -> AsyncIterator[Worker]:
    """A worker with both."""
    worker = Worker(
        stack,
        tmp_path,
        database_url,
        name=server.agent_name,
        OPENAI_BASE_URL=_url(providers.first),
        AGENT_MODEL_TIMEOUT_S="2",
        AGENT_FALLBACK_BASE_URL=_url(providers.second),
        AGENT_FALLBACK_API_KEY="second",
        AGENT_FALLBACK_STT_MODEL="second-stt",
        AGENT_FALLBACK_LLM_MODEL="second-llm",
        AGENT_FALLBACK_TTS_MODEL="second-tts",
    )
    await worker.start()
    yield worker
    await asyncio.shield(worker.stop())


@pytest.mark.usefixtures("worker")
async def test_the_second_provider_answers(
    providers: Providers, server: Server, voice: Voice, pg: Connection
) -> None:
    """Words that the first one failed to hear are not lost, and the rows name who answered."""
    for script in (FAILS, STALLS):
        await set_script(providers.first, script)
        await set_script(providers.second, ANSWERS)
        _check(await _call(server, voice, pg), providers)


async def _call(server: Server, voice: Voice, pg: Connection) -> Rows:
    room = f"second-{uuid4().hex[:8]}"
    async with Caller(server, room=room, voice=voice) as caller:
        await caller.join()
        await caller.agent_speaking(timeout_s=60)
        await caller.agent_quiet()
        utterance = await caller.speak("What is your name?")
        assert utterance.done.is_set()

        async def answered() -> bool:
            rows = await Reader(pg).call(room)
            return rows is not None and "My name is Robin." in said(rows, "assistant")

        await until(answered, timeout_s=60, what="the answer")
        await caller.agent_quiet()
    return await Reader(pg).ended(room, timeout_s=60)


def _check(rows: Rows, providers: Providers) -> None:
    assert rows.call["end_reason"] == "caller_hangup"
    assert said(rows, "user") == ["What is your name?"]
    (question,) = (row for row in rows.messages if row["role"] == "user")
    (answer,) = (row for row in rows.messages if row["content"] == "My name is Robin.")
    assert (question["model_used"], answer["model_used"]) == ("second-stt", "second-llm")
    answered = [row for row in rows.usage if not row["cancelled"] and row["error"] is None]
    assert {row["kind"] for row in answered} == {"stt", "llm", "tts"}
    for row in answered:
        assert row["model"] == f"second-{row['kind']}"
        assert row["provider"] == _host(providers.second) != _host(providers.first)
    heard = [row for row in answered if row["kind"] == "stt"]
    assert len(heard) == 1, "metered once"
    # One that was asked and did not answer may have been billed: it is there, as an estimate.
    failed = [row for row in rows.usage if row["error"] is not None]
    assert {row["provider"] for row in failed} <= {_host(providers.first)}
    assert all(row["estimated"] for row in failed if row["total_tokens"])
    thought = [row for row in rows.usage if row["kind"] == "llm"]
    assert sum(row["total_tokens"] for row in thought) == rows.call["total_tokens_used"] > 0


def _url(client: openai.AsyncOpenAI) -> str:
    return str(client.base_url).rstrip("/")


def _host(client: openai.AsyncOpenAI) -> str:
    return f"{client.base_url.host}:{client.base_url.port}"
