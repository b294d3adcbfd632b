"""One outbox file under way: what was read of it, and what the database says of its call."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec

from callrecord.events import CallEnded, CallStarted, Message, encode
from callrecord.outbox.reader import Damage, Entry, Tail
from callrecord.outbox.writer import frame, job_of


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits on disk.

    Attributes:
        seconds: Age of the oldest of it.
    """

    events: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Shipment:
    """One file under way: its tail, and what was read but is not stored yet.

    Attributes:
        held_until: Monotonic time before which it is not tried again.
        strikes: How often in a row the database did not take it while it took others.
        why: What it said the last time.
        closing: Its writer is gone, and it was read to its end.
        call_id: The call's row, once known.
        deleted: The call's owner has deleted it.
        ahead: What is pending was read ahead, and delivered by nobody yet.
        read_to: Until when all that was written is read, in seconds since 1970.
        stored_to: The same of what was taken off `pending` since.
    """

    tail: Tail
    read_to: float
    pending: list[Entry | Damage] = field(default_factory=list)
    held_until: float = 0.0
    strikes: int = 0
    why: str = ""
    closing: bool = False
    call_id: UUID | None = None
    deleted: bool = False
    ahead: bool = False
    stored_to: float = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is stored of a file that was just found."""
        self.stored_to = self.read_to

    def backlog(self) -> Backlog:
        """Return what of it is not stored yet."""
        unread = self.tail.unread()
        if not self.pending and not unread:
            return Backlog()
        held = sum(len(item.raw) for item in self.pending)
        try:
            ahead = max(0, self.tail.written() - self.tail.next_sequence + 1) if unread else 0
        except OSError:  # who reads it logs that it can't be read
            ahead = 0
        since = self.stored_to if self.pending else self.read_to
        return Backlog(
            events=len(self.pending) + ahead,
            bytes=held + unread,
            seconds=max(0.0, time.time() - since),
        )

    @property
    def header(self) -> CallStarted:
        """The call's identity; from the file's name if both header lines are damaged."""
        if self.tail.header is not None:
            return self.tail.header
        job_id = job_of(self.tail.path)
        key = UUID(self.tail.path.stem.rpartition(".")[2])
        return CallStarted(
            key=key,
            job_id=job_id,
            room_name=f"unknown {job_id}",
            room_sid=f"unknown:{key}",
            at=self.tail.written_at(),
            metadata={"recovered": True},
        )

    def read(self) -> None:
        """Read on; at the end of a dead writer's file, to its end and with the end of its call.

        Raises:
            OSError: The disk does not give it.
        """
        self.stored_to = self.read_to  # what was pending is stored, or we would not read on
        at = time.time()
        self.pending.extend(self.tail.read())
        if not self.tail.unread():
            self.read_to = at
        if self.pending or self.closing or not self.tail.try_finish():
            return
        # The writer is gone and we hold its lock: now the end of the file is its end.
        while self.tail.grown():
            self.pending.extend(self.tail.read())
        self.pending.extend(self.tail.rest())
        # With both header lines damaged it is still a call, which ended somehow.
        if self.tail.next_sequence > 1 and not self.tail.ended:
            self.pending.extend(_crashed(self.tail))
        self.closing = True


def _crashed(tail: Tail) -> Iterator[Entry]:
    """Yield how a call ended whose writer is dead: turns that were being spoken were cut."""
    sequence = tail.next_sequence
    # A death that we saw is dated so, an older one by the last thing its writer said.
    at = tail.died_at or tail.written_at()
    for draft in tail.drafts.values():
        cut = _cut(draft.event, at) if isinstance(draft.event, Message) else draft.event
        # As a line of its own: refused, it is kept and tried again with its mark.
        yield Entry(cut, sequence, draft.offset, frame(sequence, encode(cut)).removesuffix(b"\n"))
        sequence += 1
    end = CallEnded(
        at=at, end_reason="worker_crashed", usage_complete=False, usage_gaps=_unknown(tail)
    )
    yield Entry(end, sequence, -1, b"")


def _cut(draft: Message, at: datetime) -> Message:
    """Return a turn that the death of its job has cut.

    Of a reply it is known what was written, and for how long it had sounded at most; not which
    words were heard.
    """
    if draft.role != "assistant":
        return msgspec.structs.replace(draft, interrupted=True)
    if draft.speech_started_at is None:
        note = {key: value for key, value in draft.metadata.items() if key != "final"}
        return msgspec.structs.replace(
            draft,
            content="",
            generated_content=draft.content,
            interrupted=True,
            metadata=note | {"unheard": True},
        )
    sounded = at - draft.speech_started_at
    return msgspec.structs.replace(
        draft,
        interrupted=True,
        audio_duration_ms=max(0, round(sounded.total_seconds() * 1000)),
        metadata=draft.metadata | {"content": "written"},
    )


def _unknown(tail: Tail) -> list[str]:
    """Return what the ledger of a call lacks whose writer is dead, a line for each model."""
    models = Counter(f"{row.kind} {row.provider}/{row.model}" for row in tail.open.values())
    begun = [f"{model}: {count} cut by the job's death" for model, count in models.items()]
    return begun or ["the job died: what it had not told yet is unknown"]
