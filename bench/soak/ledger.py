"""What the callers saw: kept in memory for the end, and appended to a file as it happens."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Call:
    """One call as its caller knows it; times are wall clock seconds.

    Attributes:
        room: The room's name.
        sid: The room's id, which only this call has.
        jobs: Ids of the jobs whose agents came, in order.
        greeted: Whether the first agent was heard at all.
        typed: When each text was sent.
        answered: When the agent was heard after it.
        heard_out: Texts whose answer was heard to its end.
        spoken: Spoken turns that were answered.
        end: How the caller ended it: "hang up", "goodbye", "delete room".
        ended_at: When it did, or began to.
    """

    room: str
    sid: str = ""
    jobs: list[str] = field(default_factory=list)
    greeted: bool = False
    typed: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    heard_out: list[str] = field(default_factory=list)
    spoken: int = 0
    end: str = ""
    ended_at: float = 0.0


class Ledger:
    """All calls of a soak, and all faults that were made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[Call] = []
        self.faults: dict[str, int] = {}
        self.killed: dict[str, float] = {}
        """When each job died by us, by its id."""

    def begin(self, room: str) -> Call:
        """Open the page of a call."""
        call = Call(room)
        self.calls.append(call)
        return call

    def note(self, what: str, **values: Any) -> float:
        """Append a line; return its time."""
        at = time.time()
        line = json.dumps({"at": round(at, 3), "what": what, **values})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return at

    def fault(self, kind: str, jobs: list[str]) -> None:
        """Note a fault just before it is made, with the jobs that die of it."""
        at = self.note("fault", kind=kind, jobs=jobs)
        self.faults[kind] = self.faults.get(kind, 0) + 1
        self.killed |= {job: at for job in jobs if job not in self.killed}
