"""Attribution: which session made a request, and whether LiveKit's metrics add anything to it.

A request goes one way: a patched stream passes it to the meter, the meter to `Attribution`, and
`Attribution` to the turns of its session. Their ledger links it to its message and records it.
"""

from collections.abc import Callable
from typing import Final
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
from callrecord.recording.guard import Guard
from callrecord.recording.recent import Recent
from callrecord.recording.usage.framework_metrics import usage_of
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.reconciliation import Reconciliation

_KEPT: Final = 512
"""How many requests are remembered, as more may be reported about each."""


class Attribution:
    """Passes each request to the turns of its session, once, no matter what reports it.

    Attributes:
        meter: Observes requests directly, without LiveKit's metrics.
    """

    def __init__(
        self,
        guard: Guard,
        reconciliation: Reconciliation,
        sessions: Callable[[], list[Turns]],
        *,
        drain_s: float,
    ) -> None:
        """Make the meter.

        Args:
            guard: Makes handlers safe.
            reconciliation: Receives what LiveKit's metrics report.
            sessions: Returns the turns of all sessions; the first get requests of no session.
            drain_s: Seconds that a cancelled request may go on, to report its usage.
        """
        self.meter = Meter(guard("request", self._request), drain_s=drain_s)
        self._reconciliation = reconciliation
        self._sessions = sessions
        self._turns_of: Recent[UUID, Turns] = Recent(_KEPT)

    def metrics(self, turns: Turns, event: MetricsCollectedEvent) -> None:
        """Record a request that a session's metrics report, unless the meter has observed it."""
        found = event.metrics
        rows = self._known(turns, found)
        if rows is None and (usage := usage_of(found)) is not None:
            turns.metered(usage)
            rows = [usage.id]
        if rows and not _zeros(found):
            for usage_id in rows:
                self._reconciliation.reported(usage_id, found.metadata)

    def _request(self, usage: Usage) -> None:
        """Record a request that the meter observed, or an update of one."""
        turns = self._turns_of.get(usage.id)
        if turns is None:
            asker = self.meter.asker_of(usage)
            sessions = self._sessions()
            made_by = (each for each in sessions if each.made(usage.speech_id, asker))
            turns = next(made_by, sessions[0])
        self._turns_of.put(usage.id, turns)
        turns.requested(usage)

    def _known(self, turns: Turns, metrics: AgentMetrics) -> list[UUID] | None:
        """Return the rows of a request that the meter observed; None if it did not."""
        match metrics:
            case LLMMetrics() | TTSMetrics() if self.meter.counts(metrics):
                return self.meter.rows_of(metrics.request_id)
            case RealtimeModelMetrics():
                response = self.meter.take_response(metrics.request_id)
                if response is not None:
                    self._turns_of.put(response.id, turns)
                    turns.responded(response)
                    return [response.id]
            case STTMetrics():
                if requests := self.meter.take_heard(metrics, turns.hears_by):
                    turns.transcribed(requests)
                    return [requests[-1].id]
                transcription = self.meter.take_transcription(metrics.request_id)
                if transcription is not None:
                    self._turns_of.put(transcription.id, turns)
                    turns.metered(transcription)
                    return [transcription.id]
        return None


def _zeros(metrics: AgentMetrics) -> bool:
    """Whether LiveKit reports zeros, as it does for a cancelled reply; the meter knows better."""
    match metrics:
        case LLMMetrics():
            return not metrics.total_tokens
        case RealtimeModelMetrics():
            return not (metrics.input_tokens or metrics.output_tokens)
    return False
