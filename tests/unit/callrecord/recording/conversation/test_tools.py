"""Function calls, handoffs and changes of an agent, with LiveKit's own session."""

import asyncio

from livekit.agents import (
    Agent,
    AgentSession,
    FunctionCall,
    FunctionCallOutput,
    RunContext,
    function_tool,
)
from livekit.agents.llm import ToolError
from livekit.agents.voice.events import ToolCallEnded, ToolExecutionUpdatedEvent

from callrecord.events import Message, now
from callrecord.recording.conversation.tools import Tools
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply
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
    async def breaks(self) -> str:
        """Go wrong inside."""
        raise LookupError("row 7 of the table of orders")

    @function_tool()
    async def repeat(self, word: str) -> str:
        """Say it again."""
        return word

    @function_tool()
    async def order(self, context: RunContext[None]) -> str:
        """Take an order, which takes a while."""
        await context.update("It is on its way.")
        await self.hold.wait()
        return "It has come."

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
    assert call.metadata["error"] == call.metadata["result"] == "no such order"
    assert call.metadata["error_type"] == "ToolError"
    assert call.metadata["duration_ms"] >= 0


async def test_functions_at_once_are_rows_of_their_own(outbox: Outbox, talk: Talk) -> None:
    """One that is done has its result while another goes on; one that is turned down is told."""
    clerk = Clerk()
    calls = (
        ("slow", "{}", "a"),
        ("repeat", '{"word": "yes"}', "b"),
        ("breaks", "{}", "c"),
        ("none_such", "{}", "d"),
        ("repeat", "{", "e"),
    )
    session = await talk(Reply(calls=calls), Reply("Done."), agent=clerk)
    speech = session.generate_reply(user_input="Everything.")
    await until(
        lambda: [each for each in told(outbox, "tool_call") if "result" in each.metadata],
        what="the first result",
    )
    slow, repeated = told(outbox, "tool_call")[:2]
    assert slow.metadata["final"] is False
    assert (repeated.content, "final" in repeated.metadata) == (
        'repeat({"word": "yes"}) -> yes',
        False,
    )
    clerk.hold.set()
    await speech
    calls_by_id = {each.metadata["call_id"]: each for each in told(outbox, "tool_call")}
    slow, repeated, broken, unknown, wrong = (calls_by_id[name] for name in "abcde")
    assert [each.metadata["is_error"] for each in (slow, repeated)] == [False, False]
    assert slow.metadata["duration_ms"] >= repeated.metadata["duration_ms"]
    assert broken.metadata["error"] == "An internal error occurred"  # as the model was told
    assert broken.metadata["error_type"] == "LookupError"
    assert "none_such" in unknown.metadata["error"]
    assert "arguments" in wrong.metadata["error"]
    everything = (slow, repeated, broken, unknown, wrong)
    assert {each.speech_id for each in everything} == {speech.id}
    assert not [each for each in everything if "final" in each.metadata]


async def test_ids_that_a_model_uses_again_are_other_calls(outbox: Outbox, talk: Talk) -> None:
    again = [("repeat", f'{{"word": "{word}"}}', "call_1") for word in ("one", "two")]
    session = await talk(
        *(Reply(calls=[again[0]]), Reply("One.")),
        *(Reply(calls=[again[1]]), Reply("Two.")),
        *(Reply(tool="none_such"), Reply("None.")),
        agent=Clerk(),
    )
    for _ in range(3):
        await session.generate_reply(user_input="Again.")
    one, two, unknown = told(outbox, "tool_call")
    assert (one.metadata["result"], two.metadata["result"]) == ("one", "two")
    assert unknown.metadata["name"] == "none_such"
    assert len({each.speech_id for each in (one, two, unknown)}) == 3


async def test_the_last_result_of_one_that_answers_before_it_is_done(
    outbox: Outbox, talk: Talk
) -> None:
    clerk = Clerk()
    session = await talk(
        Reply(tool="order"), Reply("It is on its way."), Reply("It is there."), agent=clerk
    )
    await session.generate_reply(user_input="An order.")
    (call,) = told(outbox, "tool_call")
    assert "on its way" in call.metadata["result"]
    assert call.metadata["final"] is False
    clerk.hold.set()
    await until(lambda: "final" not in told(outbox, "tool_call")[0].metadata, what="its end")
    (done,) = told(outbox, "tool_call")
    assert (done.id, done.content) == (call.id, "order({}) -> It has come.")
    assert done.metadata["result"] == "It has come."
    assert done.metadata["duration_ms"] >= 0
    await until(lambda: "It is there." in outbox.said("assistant"), what="the answer")


async def test_one_that_is_cancelled(outbox: Outbox, talk: Talk) -> None:
    clerk = Clerk()
    session = await talk(Reply(tool="slow"), Reply("It is 42."), agent=clerk)
    speech = session.generate_reply(user_input="How much?")
    await until(lambda: told(outbox, "tool_call"), what="the call")
    ended = ToolCallEnded(id="call_1", call_id="call_1", status="cancelled")
    session.emit("tool_execution_updated", ToolExecutionUpdatedEvent(update=ended))
    (call,) = told(outbox, "tool_call")
    clerk.hold.set()
    await speech
    assert call.metadata["cancelled"]
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


async def test_a_function_that_reports_several_times_keeps_all_of_it(outbox: Outbox) -> None:
    tools = Tools(outbox.recorder.append)
    tools.follow(AgentSession())
    call = FunctionCall(call_id="c1", name="book", arguments="{}")
    tools.started(call, "agent", None)
    for result in ("I am looking.", "I am looking.", "Two seats are left.", "Booked."):
        output = FunctionCallOutput(call_id="c1", name="book", output=result, is_error=False)
        tools.executed(call, output, "agent", None)
    (message,) = outbox.messages()
    assert message.metadata["result"] == "Booked."
    assert message.metadata["earlier_results"] == ["I am looking.", "Two seats are left."]
