"""What was heard of a reply, what was generated for it, and how long it sounded."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from livekit.agents import Agent, function_tool, llm

from callrecord.events import Message
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.loudspeaker import Loudspeaker, Speaker, recording
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply, ScriptedLLM
from tests.waiting import until

STORY = "Once upon a time there was a village. It had a baker."


def last(outbox: Outbox) -> Message:
    """Return the newest message."""
    return outbox.messages()[-1]


async def test_a_whole_reply_was_heard_as_generated(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply(STORY), agent=Speaker(instructions=""))
    session.output.audio = Loudspeaker()
    await session.generate_reply(user_input="A story.")
    told = last(outbox)
    assert (told.content, told.generated_content, told.interrupted) == (STORY, None, False)
    assert told.audio_duration_ms == 1000


async def test_of_a_cut_reply_the_rest_is_kept_beside(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply(STORY), Reply("Yes."), agent=Speaker(instructions=""))
    session.output.audio = Loudspeaker(heard="Once upon a time")
    speech = session.generate_reply(user_input="A story.")
    await until(lambda: session.agent_state == "speaking", what="speech")
    await session.interrupt()
    await speech
    told = last(outbox)
    assert (told.content, told.generated_content) == ("Once upon a time", STORY)
    assert (told.interrupted, told.audio_duration_ms) == (True, 500)
    session.output.audio = Loudspeaker()  # another output, in the midst of the call
    await session.generate_reply(user_input="Are you there?")
    assert (last(outbox).generated_content, last(outbox).audio_duration_ms) == (None, 1000)


async def test_of_fixed_words_that_are_cut_too(outbox: Outbox, talk: Talk) -> None:
    session = await talk(agent=Speaker(instructions=""))
    session.output.audio = Loudspeaker(heard="Once")
    speech = session.say(STORY, audio=recording())
    await until(lambda: session.agent_state == "speaking", what="speech")
    await session.interrupt()
    await speech
    assert (last(outbox).content, last(outbox).generated_content) == ("Once", STORY)


async def test_words_without_a_sound_were_generated(outbox: Outbox, talk: Talk) -> None:
    """Cut while the voice was still silent: nothing was heard."""

    class Mute(Speaker):
        async def tts_node(self, text: Any, model_settings: Any) -> AsyncGenerator[Any, None]:
            async for _ in Agent.default.transcription_node(self, text, model_settings):
                await asyncio.Event().wait()
                yield

    session = await talk(Reply(STORY), agent=Mute(instructions=""))
    session.output.audio = Loudspeaker()
    speech = session.generate_reply(user_input="A story.")
    await until(lambda: outbox.said("assistant") == [STORY], what="a draft")
    await session.interrupt()
    await speech
    told = last(outbox)
    assert (told.content, told.generated_content, told.interrupted) == ("", STORY, True)
    assert told.metadata == {"unheard": True}
    assert [usage.message_id for usage in outbox.usage()] == [told.id]


async def test_words_cut_before_their_turn_were_generated(outbox: Outbox, talk: Talk) -> None:
    """Cut while it waits for another speech: LiveKit passes no word of it on."""
    session = await talk(Reply(STORY), agent=Speaker(instructions=""))
    session.output.audio = Loudspeaker(heard="Please")
    first = session.say("Please hold the line.", audio=recording())
    await until(lambda: session.agent_state == "speaking", what="speech")
    speech = session.generate_reply(user_input="A story.")
    await until(lambda: outbox.usage() and not outbox.usage()[0].metadata, what="the request")
    speech.interrupt()
    await speech
    told = last(outbox)
    assert (told.content, told.generated_content, told.speech_id) == ("", STORY, speech.id)
    assert told.metadata == {"unheard": True}
    await until(lambda: outbox.usage()[0].message_id == told.id, what="its request")
    first.interrupt()
    await first


async def test_what_other_models_write_is_no_part_of_a_reply(outbox: Outbox, talk: Talk) -> None:
    """A guard in the agent's `llm_node`, what that keeps back, and a function's own request."""
    other = ScriptedLLM([Reply("Harmless."), Reply("A summary."), Reply("Harmless.")])

    class Guarded(Agent):
        async def llm_node(
            self, chat_ctx: llm.ChatContext, tools: Any, model_settings: Any
        ) -> AsyncGenerator[Any, None]:
            await other.chat(chat_ctx=chat_ctx).collect()
            async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
                if isinstance(chunk, llm.ChatChunk) and chunk.delta and chunk.delta.content:
                    yield chunk.delta.content.replace("darn", "oh")
                elif not isinstance(chunk, str):
                    yield chunk

        @function_tool()
        async def summary(self) -> str:
            """Sum up."""
            return (await other.chat(chat_ctx=self.chat_ctx).collect()).text

    session = await talk(
        Reply("Let me see.", tool="summary"), Reply("Well, darn."), agent=Guarded(instructions="")
    )
    await session.generate_reply(user_input="Sum up.")
    replies = [each for each in outbox.messages() if each.role == "assistant"]
    assert [(each.content, each.generated_content) for each in replies] == [
        ("Let me see.", None),
        ("Well, oh.", None),
    ]
