"""One outbox file being shipped: its unstored events, and its call's state in the database."""

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
    """What is not stored yet.

    Attributes:
        seconds: Age of the oldest event.
    """

    events: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Shipment:
    """One file being shipped: its tail, and the events that were read but are not stored yet.

    Attributes:
        held_until: Monotonic time before which it is not tried again.
        strikes: How often in a row the database rejected it while it accepted others.
        why: The last rejection's reason.
        closing: Its writer is dead, and it was read to its end.
        call_id: The id of the call's row, once known.
        deleted: The call's owner has deleted it.
        ahead: The pending events were read ahead, and no delivery was tried yet.
        read_to: All events written before this time were read; in seconds since 1970.
        stored_to: All events written before this time were stored.
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
        """A new file has nothing stored."""
        self.stored_to = self.read_to

    def backlog(self) -> Backlog:
        """Return what is not stored yet."""
        unread = self.tail.unread()
        if not self.pending and not unread:
            return Backlog()
        held = sum(len(item.raw) for item in self.pending)
        try:
            ahead = max(0, self.tail.written() - self.tail.next_sequence + 1) if unread else 0
        except OSError:  # `read` fails too, and its caller logs it
            ahead = 0
        since = self.stored_to if self.pending else self.read_to
        return Backlog(
            events=len(self.pending) + ahead,
            bytes=held + unread,
            seconds=max(0.0, time.time() - since),
        )

    @property
    def header(self) -> CallStarted:
        """The call's identity; taken from the file's name if both header lines are damaged."""
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
        """Read the next events; at the end of a dead writer's file, add the end of its call.

        Raises:
            OSError: The file can't be read.
        """
        self.stored_to = self.read_to  # pending is empty here: everything read is stored
        at = time.time()
        self.pending.extend(self.tail.read())
        if not self.tail.unread():
            self.read_to = at
        if self.pending or self.closing or self.tail.unread() or not self.tail.try_finish():
            return
        # The writer is dead and we hold its lock, so the file grows no more.
        if self.tail.unread():  # written between the read and the lock: read in the next turn
            return
        self.pending.extend(self.tail.rest())
        # A file with two damaged header lines is still a call, and needs an end.
        if self.tail.next_sequence > 1 and not self.tail.ended:
            self.pending.extend(_crashed(self.tail))
        self.closing = True


def _crashed(tail: Tail) -> Iterator[Entry]:
    """Yield the end of a dead writer's call; turns that were being spoken are interrupted."""
    sequence = tail.next_sequence
    # If we did not see the death, the writer's last append is the best estimate.
    at = tail.died_at or tail.written_at()
    for draft in tail.drafts.values():
        cut = _cut(draft.event, at) if isinstance(draft.event, Message) else draft.event
        # It has its own line, so that a retry of the refused event keeps `interrupted`.
        yield Entry(cut, sequence, draft.offset, frame(sequence, encode(cut)).removesuffix(b"\n"))
        sequence += 1
    end = CallEnded(
        at=at, end_reason="worker_crashed", usage_complete=False, usage_gaps=_usage_gaps(tail)
    )
    yield Entry(end, sequence, -1, b"")


def _cut(draft: Message, at: datetime) -> Message:
    """Return a turn that its job's death interrupted.

    Of a reply, the written text and its longest possible playing time are known; the words that
    the caller heard are not.
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
    played = at - draft.speech_started_at
    return msgspec.structs.replace(
        draft,
        interrupted=True,
        audio_duration_ms=max(0, round(played.total_seconds() * 1000)),
        metadata=draft.metadata | {"content": "written"},
    )


def _usage_gaps(tail: Tail) -> list[str]:
    """Return the usage gaps of a dead writer's call, one line for each model."""
    models = Counter(f"{row.kind} {row.provider}/{row.model}" for row in tail.open.values())
    cut = [f"{model}: {count} cut by the job's death" for model, count in models.items()]
    return cut or ["the job died: usage that it had not reported is unknown"]
