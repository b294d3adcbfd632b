"""Which models a session has used, and so must have asked: what tells nothing of it is a gap."""

from collections import Counter
from collections.abc import Container
from typing import Any

from callrecord.recording.current_models import CurrentModels


class UsedModels:
    """Counts turns of one session by the kinds of models they took."""

    def __init__(self, models: CurrentModels) -> None:
        """`models`: those of the session."""
        self._models = models
        self._turns: Counter[str] = Counter()
        self._used: dict[str, Any] = {}

    def heard(self) -> None:
        """Count a turn of the caller's that was spoken."""
        models = self._models.now()
        if not models.hears_itself:
            self._count("stt", models.stt)

    def answered(self, *, aloud: bool) -> None:
        """Count a reply that a model has made, and whether it was heard."""
        models = self._models.now()
        self._count("llm" if models.realtime is None else "realtime", models.llm)
        # A realtime model speaks itself, and a session of text alone has no speech.
        if aloud and models.realtime is None and models.tts is not None:
            self._count("tts", models.tts)

    def gaps(self, told: Container[str]) -> list[str]:
        """Return a line for each model that was used; not for kinds that told of a request."""
        return [
            f"{_named(kind, self._used[kind])}: no request told in {turns} turns"
            for kind, turns in self._turns.items()
            if kind not in told
        ]

    def _count(self, kind: str, model: Any) -> None:
        self._turns[kind] += 1
        self._used[kind] = model


def _named(kind: str, model: Any) -> str:
    # Without a model an agent's own node has heard or answered, by whatever it asks.
    return kind if model is None else f"{kind} {model.provider}/{model.model}"
