"""The tap on a session's text output: what is told, and what goes on to the room."""

from livekit.agents.voice.io import TextOutput

from callrecord.recording.tap import SpeechTap
from tests.callrecord.recording.conftest import Talk
from tests.callrecord.recording.outbox import Outbox
from tests.callrecord.recording.scripted import Reply


class Room(TextOutput):
    """Stands where the room's output does.

    Attributes:
        got: The pieces of text, and None for each end.
    """

    def __init__(self) -> None:
        super().__init__(label="room", next_in_chain=None)
        self.got: list[str | None] = []

    async def capture_text(self, text: str) -> None:
        """Keep a piece."""
        self.got.append(text)

    def flush(self) -> None:
        """Keep an end."""
        self.got.append(None)


async def test_sentences_are_told_and_pieces_passed_on() -> None:
    room, told = Room(), list[str]()
    tap = SpeechTap(told.append, next_in_chain=room)
    for piece in ("Hel", "lo. Who", " is there? ", "Any"):
        await tap.capture_text(piece)
    tap.flush()
    tap.flush()
    assert told == ["Hello. Who is there? ", "Any"]
    assert room.got == ["Hel", "lo. Who", " is there? ", "Any", None, None]


async def test_an_output_put_in_place_later_is_tapped_too(outbox: Outbox, talk: Talk) -> None:
    session = await talk(Reply("First."), Reply("Second."))
    await session.generate_reply(user_input="One?")
    room = Room()
    session.output.transcription = room
    await session.generate_reply(user_input="Two?")
    assert room.got == ["Second.", None]
    assert outbox.said("assistant") == ["First.", "Second."]


async def test_the_output_is_free_again_after_the_session(talk: Talk) -> None:
    """A session that is started again would else leave the room without its text."""
    session = await talk(Reply("First."))
    await session.generate_reply(user_input="One?")
    assert isinstance(session.output.transcription, SpeechTap)
    await session.aclose()
    assert session.output.transcription is None
