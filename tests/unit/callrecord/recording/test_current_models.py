"""Agents that bring their own models: what is recorded names those, and not the session's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, Agent, AgentSession, tts

from callrecord.events import now
from callrecord.recording.current_models import CurrentModels, Models, models_of
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.waiting import until


class Voice(tts.TTS[Any]):
    """A voice with a name, for sessions that are not heard."""

    def __init__(self, name: str) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=24_000, num_channels=1
        )
        self._name = name

    @property
    def model(self) -> str:
        """Its name."""
        return self._name

    def synthesize(self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> Any:
        """Never asked for: there is no audio output."""
        raise NotImplementedError


class Clerk(Agent):
    """An agent with models of its own."""

    def __init__(self, name: str, *replies: Reply) -> None:
        super().__init__(instructions=name, llm=_Named(name, replies), tts=Voice(f"{name} voice"))


class _Named(ScriptedLLM):
    def __init__(self, name: str, replies: tuple[Reply, ...]) -> None:
        super().__init__(replies)
        self._name = name

    @property
    def model(self) -> str:
        return f"{self._name} words"


@pytest.fixture
async def session(outbox: Outbox) -> AsyncIterator[AgentSession[None]]:
    """A session without models."""
    session = AgentSession[None]()
    outbox.recorder.attach_session(session)
    yield session
    await session.aclose()
    outbox.check_ledger()


async def test_models_only_on_the_agent_are_named_and_leave_no_gap(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    await session.start(Clerk("Ann", Reply("Hello.")))
    await session.say("Welcome.")
    await session.generate_reply(user_input="Hi.")
    await until(lambda: outbox.usage() and outbox.usage()[0].message_id, what="the request")
    models = {message.content: message.model for message in outbox.messages()}
    assert models == {"Welcome.": "Ann voice", "Hi.": None, "Hello.": "Ann words"}
    outbox.recorder.finish("caller_hangup", now(), {})
    assert outbox.recorder.gaps() == []


async def test_the_next_agents_models_are_named(
    outbox: Outbox, session: AgentSession[None]
) -> None:
    await session.start(Clerk("Ann"))
    await session.say("I connect you.")
    session.update_agent(Clerk("Ben"))
    await until(lambda: session.current_agent.instructions == "Ben")
    await session.say("Ben here.")
    models = {message.content: message.model for message in outbox.messages()}
    assert models["I connect you."] == "Ann voice"
    assert models["Ben here."] == "Ben voice"


async def test_an_agent_without_its_own_uses_the_sessions() -> None:
    llm = ScriptedLLM(())
    session = AgentSession[None](llm=llm)
    current = CurrentModels()
    assert current.now() == Models()
    current.follow(session)
    assert current.now().llm is llm
    await session.start(Agent(instructions="Be brief."))
    assert models_of(session) == current.now()
    assert (current.now().llm, current.now().realtime, current.now().hears_itself) == (
        llm,
        None,
        False,
    )
    await session.aclose()


async def test_after_its_end_a_session_still_has_the_last_agents(
    session: AgentSession[None],
) -> None:
    current = CurrentModels()
    current.follow(session)
    await session.start(Clerk("Ann"))
    before = current.now()
    await session.aclose()
    assert current.now() == before
    assert before.tts is not None
