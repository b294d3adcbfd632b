"""Function calls, handoffs and changes of an agent, with LiveKit's own session."""

import asyncio

from livekit.agents import Agent, RunContext, function_tool
from livekit.agents.llm import ToolError

from callrecord.db.events import Message, now
from tests.callrecord.recording.conftest import Talk
from tests.callrecord.recording.outbox import Outbox
from tests.callrecord.recording.scripted import Reply
from tests.waiting import until


class Specialist(Agent):
    """Who takes over."""

    def __init__(self) -> None:
        super().__init__(instructions="You know it all.")


class Clerk(Agent):
    """An agent with functions of all kinds."""

    def __init__(self) -> None:
        super().__init__(instructions="Be brief.")
        self.hold = asyncio.Event()

    @function_tool()
    async def slow(self) -> str:
        """Take a while."""
        await self.hold.wait()
        return "42"

    @function_tool()
    async def fails(self) -> str:
        """Go wrong."""
        raise ToolError("no such order")

    @function_tool()
    async def specialist(self, context: RunContext[None]) -> Agent:
        """Hand over."""
        del context
        return Specialist()


def told(outbox: Outbox, kind: str) -> list[Message]:
    """Return the messages of a kind."""
    return [each for each in outbox.messages() if each.metadata.get("kind") == kind]


async def test_a_call_is_there_when_it_begins_and_has_its_result_later(
    outbox: Outbox, talk: Talk
) -> None:
    clerk = Clerk()
    session = await talk(Reply(tool="slow"), Reply("It is 42."), agent=clerk)
    speech = session.generate_reply(user_input="How much?")
    await until(lambda: told(outbox, "tool_call"), what="the call")
    (begun,) = told(outbox, "tool_call")
    assert begun.metadata["final"] is False
    assert begun.content == "slow({})"
    clerk.hold.set()
    await speech
    (done,) = told(outbox, "tool_call")
    assert done.id == begun.id
    assert done.content == "slow({}) -> 42"
    assert done.metadata.keys() == begun.metadata.keys() - {"final"} | {
        *("duration_ms", "result", "is_error")
    }
    assert (done.metadata["result"], done.metadata["is_error"]) == ("42", False)
    assert done.speech_id == outbox.messages()[-1].speech_id


async def test_a_failure_is_told_as_the_model_was(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply(tool="fails"), Reply("Sorry."), agent=Clerk())
    await session.generate_reply(user_input="My order?")
    (call,) = told(outbox, "tool_call")
    assert call.metadata["is_error"]
    assert "no such order" in call.metadata["error"]
    assert call.metadata["duration_ms"] >= 0


async def test_one_that_the_call_cuts_off_is_marked(outbox: Outbox, talk: Talk) -> None:
    clerk = Clerk()
    session = await talk(Reply(tool="slow"), Reply("It is 42."), agent=clerk)
    speech = session.generate_reply(user_input="How much?")
    await until(lambda: told(outbox, "tool_call"), what="the call")
    outbox.recorder.finish("caller_hangup", now(), {})
    (call,) = told(outbox, "tool_call")
    assert call.interrupted
    assert call.metadata["final"] is False
    clerk.hold.set()
    await speech


async def test_a_handoff_is_a_message_and_so_are_new_instructions(
    outbox: Outbox, talk: Talk
) -> None:
    session = await talk(Reply(tool="specialist"), Reply("Hello."), agent=Clerk())
    await session.generate_reply(user_input="A specialist, please.")
    await until(lambda: told(outbox, "agent_handoff"), what="the handoff")
    (handoff,) = told(outbox, "agent_handoff")
    assert (handoff.role, handoff.metadata["to"]) == ("system", "specialist")
    await session.current_agent.update_instructions("Say no more than yes.")
    outbox.recorder.finish("caller_hangup", now(), {})
    *_, changed = told(outbox, "agent_config")
    assert changed.metadata["instructions_characters"] == len("Say no more than yes.")
    assert "yes" not in changed.content
