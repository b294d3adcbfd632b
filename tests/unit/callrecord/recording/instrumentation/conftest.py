"""Real sessions whose models are asked over HTTP, at OpenAI's protocol, and the server's bill."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest
from livekit.agents import Agent, AgentSession, llm
from livekit.plugins import openai as plugins

from callrecord.events import Usage
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.local.ai_control import control_url, set_script

Ask = Callable[..., Awaitable[AgentSession[None]]]
STORY = " ".join(f"Word {number}." for number in range(200))
SCRIPT: dict[str, Any] = {
    "tts": "tone",
    "rules": [
        {"match": "story", "reply": STORY, "tokens_per_s": 40},
        {"match": "short", "reply": "One. Two. Three. Four. Five.", "tokens_per_s": 20},
        {
            "match": "weather",
            "tool_call": {"name": "weather", "arguments": {"city": "Lisbon"}},
            "after_tool": "It is warm.",
        },
    ],
    "default": {"reply": "Yes, it is."},
}


class Forecaster(Agent):
    """An agent with a function."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @llm.function_tool()
    async def weather(self, city: str) -> str:
        """Tell the weather."""
        return f"21 degrees in {city}"


@pytest.fixture
async def client(scripted: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    """The models with their script in force."""
    await set_script(scripted, SCRIPT)
    return scripted


@pytest.fixture
async def ask(outbox: Outbox, client: openai.AsyncOpenAI) -> AsyncIterator[Ask]:
    """Start a recorded session on text alone."""
    async with AsyncExitStack() as stack:

        async def start(
            model: llm.LLM[Any] | None = None, agent: Agent | None = None
        ) -> AgentSession[None]:
            session = AgentSession[None](llm=model or plugins.LLM(model="gpt-4o", client=client))
            stack.push_async_callback(session.aclose)
            outbox.recorder.attach_session(session)
            await session.start(agent or Agent(instructions="Be brief."))
            return session

        yield start
    outbox.check_ledger()


class Bill:
    """What the models' server has billed since the test began."""

    def __init__(self, client: openai.AsyncOpenAI) -> None:
        self._client = client
        self._before: set[str] = set()

    async def begin(self) -> None:
        """Leave out what was billed so far."""
        self._before = {line["id"] for line in await self._all()}

    async def lines(self, kind: str = "llm") -> list[dict[str, Any]]:
        """Return the lines of a kind."""
        lines = await self._all()
        return [each for each in lines if each["kind"] == kind and each["id"] not in self._before]

    async def _all(self) -> list[dict[str, Any]]:
        answer: Any = await self._client.get(control_url(self._client, "bill"), cast_to=object)
        return list(answer["requests"])


@pytest.fixture
async def bill(client: openai.AsyncOpenAI) -> Bill:
    """The bill from now on."""
    bill = Bill(client)
    await bill.begin()
    return bill


def tokens(usage: list[Usage]) -> list[tuple[int, int]]:
    """Return tokens in and out of requests, in order."""
    return sorted((each.input_tokens, each.output_tokens) for each in usage)


def billed(lines: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return the same of the bill."""
    return sorted((line["prompt_tokens"], line["completion_tokens"]) for line in lines)


def closed(outbox: Outbox) -> list[Usage]:
    """Return the requests whose end is booked."""
    return [each for each in outbox.usage() if not each.metadata.get("open")]
