"""The end of a call by a tool of the persona's: said goodbye to, and over, whatever fails."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, RunContext, function_tool

from agent import persona
from agent.settings import load
from agent.speech.phrases import Phrases
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.waiting import until

FAREWELL = "Goodbye!"


class Clerk(Agent):
    """An agent that looks things up and ends calls."""

    @function_tool()
    async def look_up(self) -> str:
        """Look it up."""
        return "shipped"

    @function_tool()
    async def end(self, context: RunContext[None]) -> None:
        """End the call."""
        await persona.end_call(context, farewell=FAREWELL)


class Line:
    """A session on text alone, and how its call ended."""

    def __init__(self, phrases: Phrases) -> None:
        self.phrases = phrases
        self.ends: list[str] = []

    def end(self, reason: str, **_: Any) -> None:
        """End the call."""
        self.ends.append(reason)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A line whose job is this process."""
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    line = Line(Phrases(load(tmp_path / "none"), None))
    job = SimpleNamespace(proc=SimpleNamespace(userdata={"call": line}))
    monkeypatch.setattr(persona, "get_job_context", lambda: job)
    return line


async def _said(line: Line, *replies: Reply) -> list[str]:
    async with AgentSession[None](llm=ScriptedLLM(replies)) as session:
        await session.start(Clerk(instructions="Be brief."))
        session.generate_reply(user_input="Goodbye.")
        await until(lambda: line.ends, what="the end of the call")
        return [
            item.text_content or ""
            for item in session.history.items
            if item.type == "message" and item.role == "assistant"
        ]


async def test_words_with_the_tool_call_are_the_farewell(line: Line) -> None:
    assert await _said(line, Reply("See you.", tool="end")) == ["See you."]
    assert line.ends == ["agent_hangup"]


async def test_words_before_an_earlier_tool_are_none(line: Line) -> None:
    said = await _said(line, Reply("One moment.", tool="look_up"), Reply(tool="end"), Reply("Bye."))
    assert said == ["One moment.", "Bye."]


async def test_a_farewell_that_cannot_be_said_ends_the_call_all_the_same(line: Line) -> None:
    """Not a word comes of it; and nobody apologises for that."""
    assert await _said(line, Reply(tool="end"), Reply()) == []
    assert line.ends == ["agent_hangup"]
    assert line.phrases.leaving


async def test_a_session_that_is_not_running_ends_the_call_too(line: Line) -> None:
    async with AgentSession[None]() as session:
        line.phrases.say_last(session, FAREWELL, lambda: line.end("agent_hangup"))
    assert line.ends == ["agent_hangup"]
