"""The tap on a session's text output: what is told, and what goes on to the room."""

from livekit.agents.voice.io import TextOutput

from callrecord.events import Message
from callrecord.recording.instrumentation.text_output import SpeechTap
from tests.unit.callrecord.recording.conftest import Talk
from tests.unit.callrecord.recording.outbox import Outbox
from tests.unit.callrecord.recording.scripted import Reply


class Room(TextOutput):
    """Stands where the room's output does.

    Attributes:
        got: The pieces of text, and None for each end.
    """

    def __init__(self, next_in_chain: TextOutput | None = None) -> None:
        super().__init__(label="room", next_in_chain=next_in_chain)
        self.got: list[str | None] = []

    async def capture_text(self, text: str) -> None:
        """Keep a piece."""
        self.got.append(text)

    def flush(self) -> None:
        """Keep an end."""
        self.got.append(None)


async def test_pieces_and_ends_are_told_and_passed_on() -> None:
    room, told = Room(), list[str | None]()
    tap = SpeechTap(told.append, next_in_chain=room)
    for piece in ("Hel", "lo. Who", " is there? ", "Any"):
        await tap.capture_text(piece)
    tap.flush()
    assert told == ["Hel", "lo. Who", " is there? ", "Any", None]
    assert room.got == told


async def test_an_output_that_somebody_puts_before_the_tap_doubles_nothing(
    outbox: Outbox, talk: Talk
) -> None:
    """As an agent does that wraps its text output, also again when it takes over."""

    class Theirs(Room):
        async def capture_text(self, text: str) -> None:
            assert self.next_in_chain
            await self.next_in_chain.capture_text(text)

        def flush(self) -> None:
            assert self.next_in_chain
            self.next_in_chain.flush()

    session = await talk(Reply("First."), Reply("Second."), Reply("Third."))
    await session.generate_reply(user_input="One?")
    for question in ("Two?", "Three?"):
        session.output.transcription = Theirs(session.output.transcription)
        await session.generate_reply(user_input=question)
    assert outbox.said("assistant") == ["First.", "Second.", "Third."]
    replies = [message for message in outbox.of(Message) if message.role == "assistant"]
    assert {message.content for message in replies} == {"First.", "Second.", "Third."}
    await session.aclose()


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
