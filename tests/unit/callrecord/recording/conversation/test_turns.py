"""What the agent says: drafts, commits, functions and tokens, with LiveKit's own session."""

import asyncio
import logging

import pytest
from livekit.agents import Agent, function_tool

from callrecord.events import Message
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import TOKENS, Reply
from tests.waiting import until


class Clerk(Agent):
    """An agent with a function that speaks itself before it answers."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")

    @function_tool()
    async def look_up(self) -> str:
        """Look something up."""
        await self.session.say("One moment.")
        return "42"


async def test_a_reply_is_one_message_with_its_tokens(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply("I am Robin. And you?"))
    await session.generate_reply(user_input="Who are you?")
    await until(lambda: len(outbox.usage()) == 1, what="the request")
    question, reply = outbox.messages()
    assert (question.role, question.content) == ("user", "Who are you?")
    assert question.model is None  # typed: no model heard it
    assert (reply.content, reply.tokens) == ("I am Robin. And you?", TOKENS)
    assert reply.model == "scripted-llm"
    assert reply.metadata == {}
    assert [usage.message_id for usage in outbox.usage()] == [reply.id]
    assert outbox.usage()[0].speech_id == reply.speech_id


async def test_a_reply_is_recorded_before_it_is_committed(outbox: Outbox, talk: Talk) -> None:
    """A call that is killed in mid-reply keeps the sentences until then."""
    hold = asyncio.Event()
    session = await talk(Reply("First sentence. ", hold=hold))
    speech = session.generate_reply(user_input="Go on.")
    await until(lambda: outbox.said("assistant"), what="a draft")
    draft = outbox.messages()[-1]
    assert draft.content.strip() == "First sentence."
    assert draft.metadata == {"final": False}
    hold.set()
    await speech
    committed = outbox.messages()[-1]
    assert (committed.id, committed.metadata) == (draft.id, {})


async def test_an_interrupted_reply_is_marked(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply("A long story. ", hold=asyncio.Event()))
    speech = session.generate_reply(user_input="Go on.")
    await until(lambda: outbox.said("assistant"), what="a draft")
    await session.interrupt()
    await speech
    reply = outbox.messages()[-1]
    assert reply.interrupted
    assert reply.content.strip() == "A long story."
    await until(lambda: outbox.usage()[0].cancelled, what="the request that was cut")
    await until(lambda: outbox.usage()[0].message_id == reply.id, what="its message")


async def test_scripted_speech_names_no_language_model(outbox: Outbox, talk: Talk) -> None:
    session = await talk()
    await session.say("Hello there!")
    (greeting,) = outbox.messages()
    assert (greeting.content, greeting.model, greeting.tokens) == ("Hello there!", None, 0)


async def test_speech_outside_the_context_was_said(outbox: Outbox, talk: Talk) -> None:
    """`say(..., add_to_chat_ctx=False)` is heard, though LiveKit commits no item for it."""
    session = await talk()
    await session.say("Please hold the line.", add_to_chat_ctx=False)
    await until(lambda: outbox.said("assistant"), what="the message")
    (message,) = outbox.messages()
    assert message.content == "Please hold the line."
    assert not message.interrupted
    assert message.metadata == {}


async def test_steps_and_functions_of_one_speech(outbox: Outbox, talk: Talk) -> None:
    """Words before a function, what it says itself, and the answer: each has what it cost."""
    session = await talk(Reply("Let me see.", tool="look_up"), Reply("It is 42."), agent=Clerk())
    speech = session.generate_reply(user_input="What is it?")
    await speech
    await until(lambda: "It is 42." in outbox.said("assistant"), what="the answer")
    await until(lambda: all(each.message_id for each in outbox.usage()), what="joined requests")
    said = {message.content: message for message in outbox.messages()}
    before, answer = said["Let me see."], said["It is 42."]
    assert (before.tokens, answer.tokens, said["One moment."].tokens) == (TOKENS, TOKENS, 0)
    assert before.speech_id == answer.speech_id == speech.id
    assert said["One moment."].speech_id not in (speech.id, None)
    (tool,) = (message for message in outbox.messages() if message.role == "system")
    assert tool.content == "look_up({}) -> 42"
    assert tool.speech_id == speech.id
    assert tool.metadata["result"] == "42"
    assert [usage.message_id for usage in outbox.usage()] == [before.id, answer.id]


async def test_each_version_of_a_message_is_whole(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply("One. Two. Three."))
    await session.generate_reply(user_input="Count.")
    versions = [message for message in outbox.of(Message) if message.role == "assistant"]
    assert len({(version.id, version.speech_id) for version in versions}) == 1
    assert versions[-1].content == "One. Two. Three."


async def test_no_word_reaches_the_log(talk: Talk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        session = await talk(Reply("A secret answer."))
        await session.generate_reply(user_input="A secret question.")
    assert "secret" not in caplog.text
