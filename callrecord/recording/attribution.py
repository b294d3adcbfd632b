"""Booking: which session's a request is, and whether LiveKit's metrics tell anything new of it."""

from uuid import UUID

from livekit.agents import MetricsCollectedEvent
from livekit.agents.metrics import (
    AgentMetrics,
    LLMMetrics,
    RealtimeModelMetrics,
    STTMetrics,
    TTSMetrics,
)

from callrecord.events import Usage
from callrecord.recording.conversation.turns import Turns
from callrecord.recording.usage.framework_metrics import usage_of
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.reconciliation import Comparison


class Booking:
    """Brings each request to the turns of its session, once, whoever tells of it."""

    def __init__(
        self, meter: Meter, comparison: Comparison, sessions: list[Turns], first: Turns
    ) -> None:
        """Begin.

        Args:
            meter: Sees requests by itself.
            comparison: Is told of what LiveKit's metrics have told of.
            sessions: Turns of all sessions, a list that grows.
            first: Turns that take what is no session's.
        """
        self._meter = meter
        self._comparison = comparison
        self._sessions = sessions
        self._first = first
        self._turns_of: dict[UUID, Turns] = {}

    def request(self, usage: Usage) -> None:
        """Record a request that was seen, or more of one."""
        turns = self._turns_of.get(usage.id)
        if turns is None:
            asker = self._meter.asker_of(usage)
            made_by = (each for each in self._sessions if each.made(usage.speech_id, asker))
            turns = self._turns_of[usage.id] = next(made_by, self._first)
        turns.booked(usage)

    def metrics(self, turns: Turns, event: MetricsCollectedEvent) -> None:
        """Record a request that LiveKit's metrics tell of, if it was not seen by itself."""
        told = event.metrics
        if isinstance(told, LLMMetrics | TTSMetrics) and self._meter.counts(told):
            self._told(self._meter.rows_of(told.request_id), told)
        elif isinstance(told, STTMetrics) and (requests := self._meter.take_heard(told)):
            turns.transcribed(requests)
            self._told([requests[-1].id], told)
        elif isinstance(told, RealtimeModelMetrics) and (
            response := self._meter.responses.pop(told.request_id, None)
        ):
            self._turns_of[response.id] = turns
            turns.responded(response)
            self._told([response.id], told)
        elif isinstance(told, STTMetrics) and (
            transcription := self._meter.transcriptions.pop(told.request_id, None)
        ):
            self._turns_of[transcription.id] = turns
            turns.metered(transcription)
            self._told([transcription.id], told)
        elif (usage := usage_of(told)) is not None:
            turns.metered(usage)
            self._told([usage.id], told)

    def _told(self, rows: list[UUID], metrics: AgentMetrics) -> None:
        if not _zeros(metrics):
            for usage_id in rows:
                self._comparison.told(usage_id, metrics.metadata)


def _zeros(metrics: AgentMetrics) -> bool:
    """Whether LiveKit tells zeros, as of a reply that was cut; its own figures are better."""
    match metrics:
        case LLMMetrics():
            return not metrics.total_tokens
        case RealtimeModelMetrics():
            return not (metrics.input_tokens or metrics.output_tokens)
    return False
