"""The ledger beside what LiveKit has counted itself: nothing of that may be missing.

A session sums the figures of all metrics by model. The requests that those metrics told of must
come to the same; beside them stands what LiveKit does not see (cut, failed, outside the session).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from livekit.agents import AgentSession
from livekit.agents.metrics import LLMModelUsage, STTModelUsage, TTSModelUsage
from livekit.agents.metrics.base import Metadata

from callrecord.events import Usage

_Model = tuple[str, str, str]
"""Kind, provider and name."""
_SUMMED_AS: Final = {"realtime": "llm"}
"""LiveKit sums a realtime model with the language models."""


class Comparison:
    """Knows the requests of a call, and which of them LiveKit has told of."""

    def __init__(self) -> None:
        self._rows: dict[UUID, Usage] = {}
        self._told: dict[UUID, _Model] = {}

    def booked(self, usage: Usage) -> None:
        """Take in a version of a request."""
        self._rows[usage.id] = usage

    def told(self, usage_id: UUID, source: Metadata | None) -> None:
        """Note that LiveKit's metrics have told of a request, with figures.

        Their source is not always the row's: a model may stand before the one that was asked.
        """
        row = self._rows.get(usage_id)
        if row is not None:
            provider, name = (source.model_provider, source.model_name) if source else ("", "")
            self._told[usage_id] = _kind_of(row), provider or "", name or ""

    def missing(self, sessions: Iterable[AgentSession[Any]]) -> list[str]:
        """Return a line for each model and unit of which LiveKit has counted more than we."""
        return [
            f"{kind} {provider}/{name}: {ours} {unit} in the ledger, {theirs} in the session"
            for (kind, provider, name), unit, theirs, ours in self.beside(sessions)
            if theirs > ours
        ]

    def beside(self, sessions: Iterable[AgentSession[Any]]) -> list[tuple[_Model, str, int, int]]:
        """Return what sessions have counted, by model and unit, and what we have of the same."""
        ours = self._booked()
        found = []
        for model, counts in _counted(sessions).items():
            requests = sum(told == model for told in self._told.values())
            for unit, theirs in counts.items():
                own = ours.get(model, {}).get(unit, 0)
                if unit == "audio_ms" and abs(theirs - own) <= requests:
                    own = theirs  # each request's is rounded
                elif model[0] == "tts":
                    # Of speech that was cut before its first sound LiveKit tells without an id.
                    own = max(own, min(theirs, self._all(model, unit)))
                found.append((model, unit, theirs, own))
        return found

    def _all(self, model: _Model, unit: str) -> int:
        rows = (row for row in self._rows.values() if _model_of(row) == model)
        return sum(getattr(row, unit) or 0 for row in rows)

    def _booked(self) -> dict[_Model, dict[str, int]]:
        found: dict[_Model, Counter[str]] = {}
        for usage_id, model in self._told.items():
            row = self._rows[usage_id]
            found.setdefault(model, Counter()).update(
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                characters=row.characters or 0,
                audio_ms=row.audio_ms or 0,
            )
        return {model: dict(counts) for model, counts in found.items()}


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
