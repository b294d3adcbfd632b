"""Which models a session has used, and so must have asked: what tells nothing of it is a gap."""

from collections import Counter
from collections.abc import Container
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.llm import RealtimeModel


class UsedModels:
    """Counts turns of one session by the kinds of models they took."""

    def __init__(self) -> None:
        self._session: AgentSession[Any] | None = None
        self._turns: Counter[str] = Counter()

    def follow(self, session: AgentSession[Any]) -> None:
        """Name the session."""
        self._session = session

    def heard(self) -> None:
        """Count a turn of the caller's that was spoken."""
        self._turns["stt"] += 1

    def answered(self, *, aloud: bool) -> None:
        """Count a reply that a model has made, and whether it was heard."""
        self._turns["llm"] += 1
        if aloud:
            self._turns["tts"] += 1

    def gaps(self, told: Container[str]) -> list[str]:
        """Return a line for each model that was used; not for kinds that told of a request."""
        session = self._session
        if session is None:
            return []
        realtime = isinstance(session.llm, RealtimeModel)
        models: dict[str, Any] = {
            "stt": session.stt,
            "realtime" if realtime else "llm": session.llm,
            "tts": session.tts,
        }
        if realtime and session.stt is None:
            del models["stt"]  # the model hears by itself
        if realtime or session.tts is None:
            del models["tts"]  # as in a session of text alone
        return [
            f"{_named(kind, model)}: no request told in {turns} turns"
            for kind, model in models.items()
            if (turns := self._turns["llm" if kind == "realtime" else kind]) and kind not in told
        ]


def _named(kind: str, model: Any) -> str:
    # Without a model an agent's own node has heard or answered, by whatever it asks.
    return kind if model is None else f"{kind} {model.provider}/{model.model}"
