"""Playback: how much of the agent's speech was played, less than was made if it was cut."""

from collections.abc import Callable

from livekit.agents.voice.io import AudioOutput, PlaybackFinishedEvent


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
