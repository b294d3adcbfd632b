"""Phrases: the fixed sentences of a call, such as its greeting."""

from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle


class Phrases:
    """Says fixed sentences."""

    def say(
        self, session: AgentSession[None], text: str, *, allow_interruptions: bool = True
    ) -> SpeechHandle:
        """Say a phrase; it is part of the conversation, as any reply."""
        return session.say(text, allow_interruptions=allow_interruptions)
