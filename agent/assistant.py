"""The persona: edit this file and have an agent of your own."""

from livekit.agents import RunContext, function_tool

from agent.persona import Persona, end_call

INSTRUCTIONS = """\
You are a friendly assistant on the phone. Your words are spoken aloud: answer in one or two short
sentences, without lists, markup or emoji. When the caller says goodbye, end the call.
"""

GREETING = "Hello! How can I help you today?"


class Assistant(Persona):
    """What the agent knows, says first and can do."""

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS, greeting=GREETING)

    @function_tool()
    async def end_call(self, context: RunContext[None]) -> None:
        """End the call politely, when the caller has said goodbye or needs nothing more."""
        await end_call(context)
