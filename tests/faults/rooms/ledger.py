"""What a caller knows of its own call, outside the system, and whether the tables say the same."""

import re
import time
from dataclasses import dataclass, field

from local.caller import Caller
from local.demo.rows import Rows
from tests.postgres.server import Connection
from tests.rooms.rows import Reader, said
from tests.rooms.worker import Worker
from tests.waiting import until

GREETING = "Hello! How can I help you today?"
NAME = "My name is Robin. What is yours?"
STORY = "Once upon a time"


@dataclass
class Ledger:
    """A call as its caller saw it.

    Attributes:
        caller: Who keeps it.
        turns: What was said or typed, in order.
        replies: What was heard of the agent, in order: each text, or how it began.
    """

    caller: Caller
    turns: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)

    @property
    def room(self) -> str:
        """Name of the room."""
        return self.caller.room_name

    async def greeted(self, *, create: bool = True) -> None:
        """Join, and hear the greeting to its end."""
        await self.caller.join(create=create)
        await self.caller.agent_speech(0.0, timeout_s=60)  # it may be over already
        await self.caller.agent_quiet()
        self.replies.append(GREETING)

    async def ask(self, text: str = "What is your name?", reply: str = NAME) -> None:
        """Say it, and hear the reply to its end."""
        await self.ask_on(text, reply)
        await self.caller.agent_quiet()

    async def ask_on(self, text: str = "Tell me a story, please.", reply: str = STORY) -> None:
        """Say it, and hear the reply begin."""
        began = time.monotonic()
        await self.caller.speak(text)
        await self.caller.agent_speech(began + 0.5, timeout_s=60)
        self.turns.append(text)
        self.replies.append(reply)

    def check(self, rows: Rows) -> None:
        """Compare with the call's rows: each turn is there once, in order, and nothing else."""
        turns = said(rows, "user")
        assert [_words(turn) for turn in turns] == [_words(text) for text in self.turns]
        replies = said(rows, "assistant")
        assert len(replies) == len(self.replies), replies
        for found, heard in zip(replies, self.replies, strict=True):
            assert found.startswith(heard), (found, heard)
        numbers = [message["sequence_number"] for message in rows.messages]
        assert len(set(numbers)) == len(numbers)
        assert all(leg["left_at"] is not None for leg in rows.participants)


async def ended(pg: Connection, ledger: Ledger, *end: str, timeout_s: float = 60.0) -> Rows:
    """Wait for the end of the call; check that it is (status, end reason), and all turns."""
    rows = await Reader(pg).ended(ledger.room, timeout_s=timeout_s)
    assert (rows.call["status"], rows.call["end_reason"]) == end
    ledger.check(rows)
    return rows


async def nothing_left(pg: Connection, worker: Worker) -> None:
    """Wait until the outbox is empty, and check that nothing was refused."""
    await until(lambda: not worker.outbox_files(), what="an empty outbox")
    assert await pg.fetchval("select count(*) from voice_worker.refused_events") == 0


def _words(text: str) -> list[str]:
    """Return the words as speech to text tells them reliably: no case, no punctuation."""
    return re.findall(r"[a-z]+", text.lower())
