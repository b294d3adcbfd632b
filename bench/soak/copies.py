"""What was recorded: every outbox file keeps a second name, which shipping does not take away."""

import asyncio
import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from callrecord.events import Leg, Message, Usage
from callrecord.outbox.reader import Damage, Tail

EVERY_S = 0.05


@dataclass
class Recorded:
    """What the files hold.

    Attributes:
        ids: Of every row that was recorded, over all calls.
        events: How many events.
        damaged: Lines that are no event: the one that a killed job was writing.
        size: Bytes.
    """

    ids: set[UUID] = field(default_factory=set)
    events: int = 0
    damaged: int = 0
    size: int = 0


class Copies:
    """Hard links to the outbox files, made soon after those appear."""

    def __init__(self, directory: Path, outboxes: list[Path]) -> None:
        directory.mkdir()
        self._directory = directory
        self._outboxes = outboxes

    async def run(self) -> None:
        """Link what is new, until cancelled."""
        while True:
            self.link()
            await asyncio.sleep(EVERY_S)

    def link(self) -> None:
        """Link what is new."""
        for outbox in self._outboxes:
            for path in outbox.glob("*/*.events"):
                with contextlib.suppress(FileExistsError, FileNotFoundError):
                    os.link(path, self._directory / path.name)

    def recorded(self) -> Recorded:
        """Read all files: call it when no writer is left."""
        found = Recorded()
        for path in self._directory.glob("*.events"):
            tail = Tail(path)
            while tail.grown():
                for item in tail.read():
                    if isinstance(item, Damage):
                        found.damaged += 1
                        continue
                    found.events += 1
                    if isinstance(item.event, Message | Leg | Usage):
                        found.ids.add(item.event.id)
            tail.close(remove=False)
            found.size += path.stat().st_size
        return found
