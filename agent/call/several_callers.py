"""Several people in one room: whom the session listens to, and whose typed text it answers."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from livekit import rtc
from livekit.agents import AgentSession, ChatMessage
from livekit.agents.types import TOPIC_CHAT

from agent.livekit_names import user_turn
from callrecord.recording.conversation.messages import SENDER
from callrecord.recording.recorder import Recorder

logger = structlog.get_logger("voice.people")

TEXT_LIMIT = 16 * 1024
"""The most characters of one typed text: the language model bills each."""

_CUT = "\N{REPLACEMENT CHARACTER} [cut]"


class SeveralCallers:
    """Lets a session hear a caller who is still in the room.

    LiveKit links a session only to the first caller: another one who stays longer would not be
    heard, and the typed text of others is dropped.

    Args:
        room: The room, perhaps not connected yet.
        session: The session, not started yet.
        recorder: The recorder of the call.
        present: Returns the people in the room.
    """

    def __init__(
        self,
        room: rtc.Room,
        session: AgentSession[None],
        recorder: Recorder,
        present: Callable[[], list[rtc.RemoteParticipant]],
    ) -> None:
        self._room = room
        self._session = session
        self._recorder = recorder
        self._present = present
        self._linked: str | None = None
        self._started = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Listen to the room. Call this before the session starts, so that this runs first."""
        guard = self._recorder.guard
        self._room.on("participant_connected", guard("linking", self._link))
        self._room.on("participant_disconnected", guard("linking", self._link))
        self._room.register_text_stream_handler(TOPIC_CHAT, guard("text", self._text_opened))

    def session_started(self) -> None:
        """Answer the texts that were typed so far, and later ones at once."""
        self._started.set()
        choosing = self._begin(self._choose_first())
        self._session.on("close", lambda _: choosing.cancel())

    async def _choose_first(self) -> None:
        # If several people joined before the agent, LiveKit links any of them.
        room_io = self._session.room_io
        await room_io.wait_for_ready()
        people, linked = self._people(), room_io.linked_participant
        if people and linked is not None and linked.identity != people[0]:
            self._listen_to(people[0])

    def _link(self, _: rtc.RemoteParticipant) -> None:
        if not self._started.is_set():
            return
        try:
            room_io = self._session.room_io
        except RuntimeError:  # the session has closed, and its people leave
            return
        if (linked := room_io.linked_participant) is not None:
            self._linked = linked.identity
        people = self._people()
        # LiveKit itself finds the first caller, and waits for a caller who may come back.
        if self._linked is None or not people or self._linked in people:
            return
        self._listen_to(people[0])

    def _people(self) -> list[str]:
        """Return the identities of the people in the room, in the order in which they joined."""
        came = datetime.now(UTC)
        people = sorted(self._present(), key=lambda each: each.joined_at or came)
        return [each.identity for each in people]

    def _listen_to(self, identity: str) -> None:
        self._linked = identity
        self._session.room_io.set_participant(identity)
        logger.info("listening to another caller")

    def _text_opened(self, reader: rtc.TextStreamReader, identity: str) -> None:
        if identity not in self._people():
            reader.close()  # an agent's, or a hidden participant's
            return
        self._begin(self._answer(reader, identity))

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, reader: rtc.TextStreamReader, identity: str) -> None:
        try:
            text = await _read(reader)
        except rtc.StreamError:
            logger.warning("typed text did not arrive", exc_info=True)
            return
        if not text.strip():
            return
        extra: dict[str, Any] = {SENDER: identity}
        item = ChatMessage(role="user", content=[text], extra=extra)
        self._recorder.guard("typed", self._recorder.turns.of_caller.typed)(item)
        await self._started.wait()
        try:
            async with user_turn(self._session):
                with contextlib.suppress(RuntimeError):  # an uninterruptible speech
                    await self._session.interrupt()
                self._session.generate_reply(user_input=item)
        except RuntimeError:  # the session is closing
            logger.warning("typed text not answered", exc_info=True)


async def _read(reader: rtc.TextStreamReader) -> str:
    text = ""
    async for chunk in reader:
        text += chunk
        if len(text) > TEXT_LIMIT:
            logger.warning("typed text cut", limit=TEXT_LIMIT)
            reader.close()
            return text[: TEXT_LIMIT - len(_CUT)] + _CUT
    return text
