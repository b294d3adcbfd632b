"""A tap on the session's own text output: what an agent is about to say, piece by piece.

It works for every agent of a session, with a pipeline or a realtime model, and needs nothing of
the agent's own: the text passes it on its way to the room.
"""

from collections.abc import Callable, Iterator

from livekit.agents import AgentSession
from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent, TextOutput


class SpeechTap(TextOutput):
    """Passes text on unchanged, and tells it."""

    def __init__(
        self, saying: Callable[[str | None], None], *, next_in_chain: TextOutput | None = None
    ) -> None:
        """`saying` gets each piece, and None at the end of a text; it must not raise."""
        super().__init__(label="callrecord", next_in_chain=next_in_chain)
        self._saying = saying
        self.closed = False
        """Whether it only passes text on: the session is over."""

    async def capture_text(self, text: str) -> None:
        """Take a piece of text, and pass it on."""
        if not self.closed:
            self._saying(text)
        if self.next_in_chain:
            await self.next_in_chain.capture_text(text)

    def flush(self) -> None:
        """Tell that the text is at its end, or was cut."""
        if not self.closed:
            self._saying(None)
        if self.next_in_chain:
            self.next_in_chain.flush()


def tap(session: AgentSession[None], saying: Callable[[str | None], None]) -> None:
    """Put a tap before the session's text output, unless there is one.

    To be called when a speech is created: by then the room's output stands, and the speech has not
    asked for it yet. An output that somebody puts in its place later is tapped at the next speech;
    one that somebody puts before the tap has it behind.
    """
    output = session.output
    if not any(True for _ in _taps(session)):
        output.transcription = SpeechTap(saying, next_in_chain=output.transcription)


def untap(session: AgentSession[None]) -> None:
    """Take the tap out: a session that is started again wants the room's output there."""
    for each in _taps(session):
        each.closed = True
    output = session.output
    if isinstance(output.transcription, SpeechTap):
        output.transcription = output.transcription.next_in_chain


def _taps(session: AgentSession[None]) -> Iterator[SpeechTap]:
    """Yield the open taps in the chain of outputs."""
    output = session.output.transcription
    while output is not None:
        if isinstance(output, SpeechTap) and not output.closed:
            yield output
        output = output.next_in_chain


class Playback:
    """Listens to a session's audio output, whichever it is at the time."""

    def __init__(self, played: Callable[[float], None]) -> None:
        """`played` gets the seconds of each piece of speech; it must not raise."""
        self._played = played
        self._output: AudioOutput | None = None

    def follow(self, output: AudioOutput | None) -> None:
        """Listen to this output from now on, and no longer to another."""
        if output is self._output:
            return
        if self._output is not None:
            self._output.off("playback_finished", self._finished)
        if output is not None:
            output.on("playback_finished", self._finished)
        self._output = output

    def _finished(self, event: PlaybackFinishedEvent) -> None:
        if event.playback_position > 0:
            self._played(event.playback_position)
