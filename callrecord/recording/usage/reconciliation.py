"""Reconciliation: compares the ledger with LiveKit's own sums, to find what is missing.

A session sums the figures of all metrics by model. The requests that those metrics reported must
add up to the same sums. The ledger also has requests that LiveKit does not see (cancelled, failed,
outside the session). A model that a session has used must have reported at least one request.
"""

from collections import Counter
from collections.abc import Container, Iterable
from typing import Any, Final
from uuid import UUID

from livekit.agents import AgentSession
from livekit.agents.metrics import LLMModelUsage, STTModelUsage, TTSModelUsage
from livekit.agents.metrics.base import Metadata

from callrecord.events import Usage
from callrecord.recording.current_models import CurrentModels, named
from callrecord.recording.recent import Recent

_Model = tuple[str, str, str]
"""Kind, provider and name."""
_Sums = dict[_Model, Counter[str]]
_SUMMED_AS: Final = {"realtime": "llm"}
"""LiveKit counts a realtime model among the language models."""
_KEPT: Final = 512
"""How many requests may still change; older ones are summed."""
_REQUESTS: Final = "requests"


class Reconciliation:
    """Knows the requests of a call, and which of them LiveKit's metrics have reported."""

    def __init__(self) -> None:
        self._rows: Recent[UUID, Usage] = Recent(_KEPT, self._sum)
        self._reported: dict[UUID, _Model] = {}
        self._sums: _Sums = {}
        """Sums of the reported requests, by the model that the metrics name."""
        self._all_sums: _Sums = {}
        """Sums of all requests, by the model of their rows."""

    def recorded(self, usage: Usage) -> None:
        """Keep the newest version of a request."""
        self._rows.put(usage.id, usage)

    def reported(self, usage_id: UUID, source: Metadata | None) -> None:
        """Note that LiveKit's metrics have reported a request, with figures.

        The metrics may name another model than the row: one model may wrap another.
        """
        row = self._rows.get(usage_id)
        if row is not None:
            provider, name = (source.model_provider, source.model_name) if source else ("", "")
            self._reported[usage_id] = _kind_of(row), provider or "", name or ""

    def missing(self, sessions: Iterable[AgentSession[Any]]) -> list[str]:
        """Return a line for each model and unit where LiveKit has counted more than the ledger."""
        return [
            f"{kind} {provider}/{name}: {ours} {unit} in the ledger, {theirs} in the session"
            for (kind, provider, name), unit, theirs, ours in self.beside(sessions)
            if theirs > ours
        ]

    def beside(self, sessions: Iterable[AgentSession[Any]]) -> list[tuple[_Model, str, int, int]]:
        """Return the counts of the sessions and of the ledger, by model and unit."""
        reported = {model: Counter(sums) for model, sums in self._sums.items()}
        recorded = {model: Counter(sums) for model, sums in self._all_sums.items()}
        for row in self._rows.values():
            self._add(row, reported, recorded)
        found = []
        for model, counts in _counted(sessions).items():
            ours = reported.get(model, Counter())
            for unit, theirs in counts.items():
                own = ours[unit]
                if unit == "audio_ms" and abs(theirs - own) <= ours[_REQUESTS]:
                    own = theirs  # each request is rounded
                elif model[0] == "tts":
                    # LiveKit gives no id for speech that was cancelled before its first sound.
                    own = max(own, min(theirs, recorded.get(model, Counter())[unit]))
                found.append((model, unit, theirs, own))
        return found

    def _sum(self, usage_id: UUID, row: Usage) -> None:
        self._add(row, self._sums, self._all_sums)
        self._reported.pop(usage_id, None)

    def _add(self, row: Usage, reported: _Sums, recorded: _Sums) -> None:
        recorded.setdefault(_model_of(row), Counter()).update(_figures(row))
        if (model := self._reported.get(row.id)) is not None:
            reported.setdefault(model, Counter()).update(_figures(row))


class UsedModels:
    """Counts the turns of one session by the kinds of models they used."""

    def __init__(self, models: CurrentModels) -> None:
        """`models` are the session's models."""
        self._models = models
        self._turns: Counter[str] = Counter()
        self._used: dict[str, Any] = {}

    def heard(self) -> None:
        """Count a spoken turn of the caller."""
        models = self._models.now()
        if not models.hears_itself:
            self._count("stt", models.stt)

    def answered(self, *, aloud: bool) -> None:
        """Count a reply that a model made, and its speech if it was spoken."""
        models = self._models.now()
        self._count(models.answers_by, models.llm)
        # A realtime model speaks itself, and a text-only session has no speech.
        if aloud and models.realtime is None and models.tts is not None:
            self._count("tts", models.tts)

    def gaps(self, reported: Container[str]) -> list[str]:
        """Return a line for each used model whose kind has reported no request."""
        return [
            f"{_named(kind, self._used[kind])}: no request reported in {turns} turns"
            for kind, turns in self._turns.items()
            if kind not in reported
        ]

    def _count(self, kind: str, model: Any) -> None:
        self._turns[kind] += 1
        self._used[kind] = model


def _named(kind: str, model: Any) -> str:
    # Without a model, a node of the agent's own code has heard or answered.
    return kind if model is None else f"{kind} {named(model)}"


def _figures(row: Usage) -> dict[str, int]:
    return {
        _REQUESTS: 1,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "characters": row.characters or 0,
        "audio_ms": row.audio_ms or 0,
    }


def _counted(sessions: Iterable[AgentSession[Any]]) -> dict[_Model, dict[str, int]]:
    found: dict[_Model, Counter[str]] = {}
    for usage in (each for session in sessions for each in session.usage.model_usage):
        match usage:
            case LLMModelUsage():
                kind, counts = "llm", {}
            case TTSModelUsage():
                kind, counts = "tts", {"characters": usage.characters_count}
            case STTModelUsage():
                kind, counts = "stt", {"audio_ms": round(usage.audio_duration * 1000)}
            case _:
                continue
        counts |= {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        found.setdefault((kind, usage.provider, usage.model), Counter()).update(counts)
    return {model: dict(counts) for model, counts in found.items()}


def _model_of(row: Usage) -> _Model:
    return _kind_of(row), row.provider or "", row.model or ""


def _kind_of(row: Usage) -> str:
    return _SUMMED_AS.get(row.kind, row.kind)
