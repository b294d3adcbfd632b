"""A tap on the session's text output: what an agent is about to say, piece by piece.

It works for every agent of a session, with a pipeline or a realtime model, and needs no change to
the agent: the text passes through it on its way to the room.
"""

from collections.abc import Callable, Iterator

from livekit.agents import AgentSession
from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent, TextOutput


class SpeechTap(TextOutput):
    """Passes text on unchanged, and reports it."""

    def __init__(
        self, saying: Callable[[str | None], None], *, next_in_chain: TextOutput | None = None
    ) -> None:
        """`saying` gets each piece, and None at the end of a text; it must not raise."""
        super().__init__(label="callrecord", next_in_chain=next_in_chain)
        self._saying = saying
        self.closed = False
        """Whether the session is over, so that text is only passed on."""

    async def capture_text(self, text: str) -> None:
        """Report a piece of text, and pass it on."""
        if not self.closed:
            self._saying(text)
        if self.next_in_chain:
            await self.next_in_chain.capture_text(text)

    def flush(self) -> None:
        """Report that the text has ended or was interrupted."""
        if not self.closed:
            self._saying(None)
        if self.next_in_chain:
            self.next_in_chain.flush()


def tap(session: AgentSession[None], saying: Callable[[str | None], None]) -> None:
    """Put a tap before the session's text output, unless there is one.

    Call this when a speech is created: the room's output is set by then, and the speech has not
    used it yet. If an app replaces the output later, the next speech taps the new one. If an app
    puts an output before the tap, the tap stays behind it.
    """
    output = session.output
    if not any(True for _ in _taps(session)):
        output.transcription = SpeechTap(saying, next_in_chain=output.transcription)


def untap(session: AgentSession[None]) -> None:
    """Remove the tap: a session that is started again expects the room's output there."""
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
    """Listens to the current audio output of a session."""

    def __init__(self, played: Callable[[float], None]) -> None:
        """`played` gets the seconds of each piece of speech; it must not raise."""
        self._played = played
        self._output: AudioOutput | None = None

    def follow(self, output: AudioOutput | None) -> None:
        """Listen to this output from now on, instead of the previous one."""
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
