"""A tap on the session's own text output: what an agent is about to say, sentence by sentence.

It works for every agent of a session, with a pipeline or a realtime model, and needs nothing of
the agent's own: the text passes it on its way to the room.
"""

import re
from collections.abc import Callable

from livekit.agents import AgentSession
from livekit.agents.voice.io import TextOutput

_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f][\"')\u201d]?\s*$")


class SpeechTap(TextOutput):
    """Passes text on unchanged, and tells it in whole sentences."""

    def __init__(
        self, saying: Callable[[str], None], *, next_in_chain: TextOutput | None = None
    ) -> None:
        """`saying` gets the sentences; it must not raise."""
        super().__init__(label="callrecord", next_in_chain=next_in_chain)
        self._saying = saying
        self._waiting = ""

    async def capture_text(self, text: str) -> None:
        """Take a piece of text, and pass it on."""
        self._waiting += text
        if _SENTENCE_END.search(self._waiting):
            self._tell()
        if self.next_in_chain:
            await self.next_in_chain.capture_text(text)

    def flush(self) -> None:
        """Tell what is left: the text is at its end, or was cut."""
        self._tell()
        if self.next_in_chain:
            self.next_in_chain.flush()

    def _tell(self) -> None:
        text, self._waiting = self._waiting, ""
        if text:
            self._saying(text)


def tap(session: AgentSession[None], saying: Callable[[str], None]) -> None:
    """Put a tap before the session's text output, unless there is one.

    To be called when a speech is created: by then the room's output stands, and the speech has not
    asked for it yet. An output that somebody puts in its place later is tapped at the next speech.
    """
    output = session.output
    if not isinstance(output.transcription, SpeechTap):
        output.transcription = SpeechTap(saying, next_in_chain=output.transcription)


def untap(session: AgentSession[None]) -> None:
    """Take the tap out: a session that is started again wants the room's output there."""
    output = session.output
    if isinstance(output.transcription, SpeechTap):
        output.transcription = output.transcription.next_in_chain
