"""Rescue on real sessions, with a language model that says what a test tells it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    AgentTask,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    function_tool,
    stt,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.voice import SpeechHandle
from livekit.plugins import openai, silero

from agent.rescue.failures import Failure
from agent.rescue.rescue import TICK_S, Rescue
from agent.settings import Settings, load
from agent.speech.phrases import Phrases
from callrecord.recording.guard import Guard
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.waiting import until

APOLOGY = "Again, please."
TIMEOUT_S = 0.3
LONG_S = 60.0


class Desk:
    """A session with its rescue, and what the rescue did, in order."""

    def __init__(self, session: AgentSession[None], settings: Settings) -> None:
        self.session = session
        self.phrases = Phrases(settings, None)
        self.did: list[str] = []
        self.leaving = False

    def watch(self, *, timeout_s: float, tool_timeout_s: float) -> Rescue:
        """Begin to watch the session."""
        rescue = Rescue(
            self.session,
            timeout_s=timeout_s,
            tool_timeout_s=tool_timeout_s,
            apologise=self._apologise,
            give_up=lambda failure: self.did.append(f"end: {failure}"),
            fixed=self.phrases.spoken,
            leaving=lambda: self.leaving,
        )
        rescue.listen(Guard(lambda unhandled: self.did.append(repr(unhandled))))
        return rescue

    def speak(self, began: float, ended: float) -> None:
        """Be heard by LiveKit for so long, and not understood."""
        states: list[tuple[Any, Any, float]] = [
            ("listening", "speaking", began),
            ("speaking", "listening", ended),
        ]
        for old, new, at in states:
            event = UserStateChangedEvent(old_state=old, new_state=new, created_at=at)
            self.session.emit("user_state_changed", event)

    def understand(self) -> None:
        """Be understood."""
        event = UserInputTranscribedEvent(transcript="Hello", is_final=True)
        self.session.emit("user_input_transcribed", event)

    def _apologise(self, failure: Failure) -> SpeechHandle:
        self.did.append(f"again: {failure}")
        return self.phrases.say(self.session, APOLOGY)


Start = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start a session without audio, which the language model has to say everything in."""
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    settings = load(tmp_path / "none")
    async with AsyncExitStack() as stack:

        async def begin(
            *replies: Reply,
            agent: Agent | None = None,
            hearing: stt.STT[Any] | None = None,
            timeout_s: float = LONG_S,
            tool_timeout_s: float = LONG_S,
        ) -> Desk:
            session = AgentSession[None](llm=ScriptedLLM(replies), stt=hearing or NOT_GIVEN)
            stack.push_async_callback(session.aclose)
            desk = Desk(session, settings)
            stack.callback(desk.watch(timeout_s=timeout_s, tool_timeout_s=tool_timeout_s).stop)
            await session.start(agent or Agent(instructions="Be brief."))
            return desk

        yield begin


async def _ask(desk: Desk) -> None:
    """Ask, and wait for the answer and what the rescue says of it."""
    await desk.session.generate_reply(user_input="Hello?")
    await until(lambda: desk.session.current_speech is None)


async def test_an_apology_by_the_model_is_no_turn_that_worked(start: Start) -> None:
    """A realtime model without a voice besides it says the apology itself."""
    desk = await start(Reply(), Reply(APOLOGY), Reply())
    await _ask(desk)
    await _ask(desk)
    assert desk.did == ["again: llm empty", "end: llm empty"]


async def test_a_phrase_is_no_turn_that_worked_an_answer_is(start: Start) -> None:
    desk = await start(Reply(), Reply(APOLOGY), Reply("Still there?"), Reply())
    await _ask(desk)
    await desk.phrases.say(desk.session, "Still there?")
    await _ask(desk)
    assert desk.did == ["again: llm empty", "end: llm empty"]
    desk = await start(Reply(), Reply(APOLOGY), Reply("Yes."), Reply(), Reply(APOLOGY))
    for _ in range(3):
        await _ask(desk)
    assert desk.did == ["again: llm empty", "again: llm empty"]


async def test_an_apology_that_fails_ends_the_call(start: Start) -> None:
    desk = await start(Reply(), Reply())
    await _ask(desk)
    assert desk.did == ["again: llm empty", "end: llm empty"]


async def test_nobody_apologises_in_a_goodbye(start: Start) -> None:
    desk = await start(Reply(), Reply())
    desk.leaving = True
    await _ask(desk)
    await _ask(desk)
    assert desk.did == []


class Mute(Agent):
    """An agent that chooses to say nothing, as LiveKit lets it."""

    async def llm_node(self, *_: Any) -> None:
        """Ask no model."""


async def test_an_agent_may_choose_to_say_nothing(start: Start) -> None:
    desk = await start(agent=Mute(instructions="Hush."))
    await _ask(desk)
    assert desk.did == []


async def test_a_model_that_stalls_is_not_waited_for(start: Start) -> None:
    desk = await start(Reply(hold=asyncio.Event()), Reply(APOLOGY), timeout_s=TIMEOUT_S)
    await _ask(desk)
    assert desk.did == ["again: llm stalled"]


class Slow(Agent):
    """An agent whose tool takes its time."""

    def __init__(self) -> None:
        super().__init__(instructions="Look it up.")
        self.found = asyncio.Event()

    @function_tool()
    async def look_up(self) -> str:
        """Look it up."""
        await self.found.wait()
        return "late"


async def test_a_tool_is_waited_for_longer_and_not_for_ever(start: Start) -> None:
    agent = Slow()
    reply = Reply(tool="look_up")
    desk = await start(reply, Reply(APOLOGY), agent=agent, timeout_s=0.1, tool_timeout_s=1.0)
    began = asyncio.get_running_loop().time()
    desk.session.generate_reply(user_input="Hello?")
    try:
        await until(lambda: desk.did)
        assert desk.did == ["again: tool stalled"]
        assert asyncio.get_running_loop().time() - began >= 1.0
        await until(lambda: _last_words(desk) == APOLOGY)
    finally:
        agent.found.set()


class Address(AgentTask[str]):
    """An agent that a tool awaits; its first reply stalls."""

    async def on_enter(self) -> None:
        """Ask."""
        self.session.generate_reply()

    @function_tool()
    async def got_it(self) -> None:
        """Note the address."""
        self.complete("here")


class Clerk(Agent):
    """An agent whose tool hands over to another for a while."""

    @function_tool()
    async def look_up(self) -> str:
        """Look it up."""
        return await Address(instructions="Ask for the address.")


async def test_an_agent_that_a_tool_awaits_is_watched_as_any(start: Start) -> None:
    desk = await start(
        Reply(tool="look_up"),
        Reply(hold=asyncio.Event()),
        Reply(APOLOGY),
        Reply(tool="got_it"),
        Reply("Found."),
        agent=Clerk(instructions="Look it up."),
        timeout_s=TIMEOUT_S,
    )
    desk.session.generate_reply(user_input="Hello?")
    await until(lambda: desk.did == ["again: llm stalled"])
    await until(lambda: desk.session.current_speech is None)
    desk.session.generate_reply(user_input="Here.")
    await until(lambda: _last_words(desk) == "Found.")
    assert desk.did == ["again: llm stalled"]


def _last_words(desk: Desk) -> str | None:
    return next(
        (
            item.text_content
            for item in reversed(desk.session.history.items)
            if item.type == "message"
        ),
        None,
    )


async def test_what_a_cough_has_paused_is_no_stall(start: Start) -> None:
    """LiveKit goes on with it by itself, after a time of its own setting."""
    released, hold = asyncio.Event(), asyncio.Event()
    desk = await start(Reply("One.", hold=hold), timeout_s=TIMEOUT_S)
    speech = desk.session.generate_reply(user_input="Hello?")
    await until(lambda: desk.session.current_speech is speech)
    desk.session._update_agent_state("speaking")
    desk.session._update_agent_state("listening")
    asyncio.get_running_loop().call_later(5 * TIMEOUT_S, released.set)
    await released.wait()
    assert not speech.interrupted
    hold.set()
    await speech
    assert desk.did == []


class Streaming(stt.STT[str]):
    """Speech to text that streams, and hears no words."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, **_: Any) -> stt.RecognizeStream:
        """Begin."""
        return _Deaf(stt=self, conn_options=DEFAULT_API_CONNECT_OPTIONS)


class _Deaf(stt.RecognizeStream):
    async def _run(self) -> None:
        async for _ in self._input_ch:
            pass


async def _unheard(desk: Desk, times: int) -> None:
    """Say something that no answer comes to, so many times."""
    for _ in range(times):
        looked, ended = asyncio.Event(), time.time()
        desk.speak(ended - 2, ended)
        asyncio.get_running_loop().call_later(TIMEOUT_S + 3 * TICK_S, looked.set)
        await looked.wait()


async def test_noise_in_a_stream_is_asked_about_once(start: Start) -> None:
    desk = await start(Reply(APOLOGY), Reply(APOLOGY), hearing=Streaming(), timeout_s=TIMEOUT_S)
    await _unheard(desk, 3)
    assert desk.did == ["again: stt unheard"]
    desk.understand()
    await _unheard(desk, 1)
    assert desk.did == ["again: stt unheard"] * 2


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_model_of_whole_utterances_that_stalls_fails(
    start: Start, *, wrapped: bool
) -> None:
    """Also behind the adapter that a second provider brings along."""
    model: stt.STT[Any] = openai.STT(api_key="key")
    vad = silero.VAD.load()
    desk = await start(
        Reply(APOLOGY),
        hearing=stt.StreamAdapter(stt=model, vad=vad) if wrapped else model,
        timeout_s=TIMEOUT_S,
    )
    await _unheard(desk, 2)
    assert desk.did == ["again: stt stalled", "end: stt stalled"]
