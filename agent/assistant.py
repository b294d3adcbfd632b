"""The persona: edit this file to make your own agent.

Under `python -m agent dev` an edit applies from the next call on; `python -m local call` makes one.

A tool is a method with `@function_tool()`. Its docstring tells the model when to use it, and its
arguments tell the model what to fill in. The model gets what it returns. To add a tool, write:

    @function_tool()
    async def order_status(self, context: RunContext[None], order: int) -> str:
        "Look up where an order is."
        return await my_shop.status(order)
"""

from livekit.agents import RunContext, function_tool

from agent.persona import Persona, end_call, hand_over

INSTRUCTIONS = """\
You are a friendly assistant on the phone. Your words are spoken aloud: answer in one or two short
sentences, without lists, markup or emoji. When the caller says goodbye, end the call. When the
caller asks for a human, or you cannot help, hand the call over.
"""

GREETING = "Hello! How can I help you today?"
FAREWELL = "Goodbye!"
HAND_OVER = "I will get a colleague for you, please hold the line."


class Assistant(Persona):
    """What the agent knows, says first and can do."""

    def __init__(self) -> None:
        super().__init__(
            instructions=INSTRUCTIONS, greeting=GREETING, farewells=(FAREWELL, HAND_OVER)
        )

    @function_tool()
    async def end_call(self, context: RunContext[None]) -> None:
        """End the call politely, when the caller has said goodbye or needs nothing more."""
        await end_call(context, farewell=FAREWELL)

    @function_tool()
    async def hand_over(self, context: RunContext[None], reason: str, summary: str) -> None:
        """Hand the caller over to a human colleague.

        Args:
            context: Not for the model to fill in.
            reason: Why, in a few words.
            summary: What the caller wants and what was said so far, for the colleague.
        """
        await hand_over(context, reason=reason, summary=summary, farewell=HAND_OVER)
