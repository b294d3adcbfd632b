"""A recorder on a real outbox file, and what can be read back from it."""

from pathlib import Path
from typing import TypeVar

from livekit.agents import AgentSession, MetricsCollectedEvent
from livekit.agents.metrics import AgentMetrics

from callrecord.events import CallStarted, Event, Leg, Message, Usage, new_id, now
from callrecord.outbox.reader import Entry, Tail
from callrecord.outbox.writer import OutboxWriter
from callrecord.recording.recorder import Recorder

E = TypeVar("E", bound=Event)


def tell(session: AgentSession[None], metrics: AgentMetrics) -> None:
    """Bring a model's metrics to a session, as LiveKit does with those of its own models."""
    session._usage_collector.collect(metrics)
    session.emit("metrics_collected", MetricsCollectedEvent(metrics=metrics))


class Outbox:
    """One call's outbox.

    Attributes:
        header: The call's.
        writer: What the recorder appends to.
        recorder: A recorder on it.
        sees_more: Whether there are requests that LiveKit does not count.
    """

    def __init__(self, directory: Path, *, drain_s: float = 1.0) -> None:
        self.header = CallStarted(
            key=new_id(), job_id="AJ_test", room_name="room", room_sid="RM_test", at=now()
        )
        self.writer = OutboxWriter(directory, self.header)
        self.recorder = Recorder(self.writer, drain_s=drain_s)
        self.sees_more = False

    def events(self) -> list[Event]:
        """Return all that stands in the file after its header."""
        tail = Tail(self.writer.path)
        found = []
        try:
            while piece := tail.read():
                found += piece
        finally:
            tail.close(remove=False)
        entries = [item for item in found if isinstance(item, Entry)]
        assert len(entries) == len(found), "damage in the file"
        return [entry.event for entry in entries if not isinstance(entry.event, CallStarted)]

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one type, each version of a row."""
        return [event for event in self.events() if isinstance(event, kind)]

    def messages(self) -> list[Message]:
        """Return the newest version of each message, in the order of their first ones."""
        return list({message.id: message for message in self.of(Message)}.values())

    def usage(self) -> list[Usage]:
        """Return the newest version of each request."""
        return list({usage.id: usage for usage in self.of(Usage)}.values())

    def legs(self) -> list[Leg]:
        """Return the newest version of each leg."""
        return list({leg.id: leg for leg in self.of(Leg)}.values())

    def check_ledger(self) -> None:
        """See that it adds up: with what the sessions have counted, and for each message."""
        recorder = self.recorder
        for model, unit, theirs, ours in recorder.reconciliation.beside(recorder.sessions):
            same = ours == theirs or (self.sees_more and ours > theirs)
            assert same or recorder.late, (model, unit)  # late: after the call's end
        for message in self.messages():
            own = [each for each in self.usage() if each.message_id == message.id]
            thought = [each.total_tokens for each in own if each.kind in {"llm", "realtime"}]
            assert message.tokens == sum(thought), message.id

    def said(self, role: str) -> list[str]:
        """Return the texts of a role's messages."""
        return [message.content for message in self.messages() if message.role == role]
