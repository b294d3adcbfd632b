"""The persona of these calls: one that can look something up."""

from livekit.agents import RunContext, function_tool

from agent.persona import Persona


class Assistant(Persona):
    """Knows the weather."""

    def __init__(self) -> None:
        super().__init__(instructions="You answer in a sentence.", greeting="Hello, ask me.")

    @function_tool()
    async def weather(self, context: RunContext[None], city: str) -> str:  # noqa: ARG002 - LiveKit's
        """Tell the weather of a city."""
        return f"21 degrees in {city}"
