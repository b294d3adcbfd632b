"""The models that a session uses now: an agent may override the session's models."""

from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import NOT_GIVEN, AgentSession
from livekit.agents.llm import LLM, RealtimeModel
from livekit.agents.stt import STT
from livekit.agents.tts import TTS
from livekit.agents.utils import is_given


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a session and its agent; None where neither has one."""

    stt: STT[Any] | None = None
    llm: LLM[Any] | RealtimeModel | None = None
    tts: TTS[Any] | None = None

    @property
    def realtime(self) -> RealtimeModel | None:
        """The realtime model, if there is one."""
        return self.llm if isinstance(self.llm, RealtimeModel) else None

    @property
    def answers_by(self) -> Literal["llm", "realtime"]:
        """The kind of request that produces an answer."""
        return "llm" if self.realtime is None else "realtime"

    @property
    def voice(self) -> str:
        """The part that speaks, as LiveKit's errors name it: "tts" or "realtime_model".

        In a session of text alone it is the language model, "llm".
        """
        return "tts" if self.tts is not None else self.mind

    @property
    def mind(self) -> str:
        """The part that answers, as LiveKit's errors name it: "llm" or "realtime_model"."""
        return "llm" if self.realtime is None else "realtime_model"

    @property
    def ear(self) -> str:
        """The part that hears the caller: "stt" or "realtime_model"."""
        return "realtime_model" if self.hears_itself else "stt"

    @property
    def hears_itself(self) -> bool:
        """Whether a realtime model hears the caller, without a separate STT."""
        return self.stt is None and self.realtime is not None


def named(model: Any) -> str:
    """Return a model's provider and name, as usage gaps show them."""
    return f"{model.provider}/{model.model}"


def models_of(session: AgentSession[Any]) -> Models:
    """Return the models that the session's current agent uses."""
    try:
        agent: Any = session.current_agent
    except RuntimeError:  # not started yet, or closed
        agent = None
    return Models(*(_of(agent, session, name) for name in ("stt", "llm", "tts")))


class CurrentModels:
    """The models of one session, even after it has closed and has no agent any more."""

    def __init__(self) -> None:
        self._session: AgentSession[Any] | None = None
        self._last = Models()

    def follow(self, session: AgentSession[Any]) -> None:
        """Set the session."""
        self._session = session

    def now(self) -> Models:
        """Return the models in use, or the last ones of a closed session."""
        session = self._session
        if session is None:
            return self._last
        try:
            _ = session.current_agent
        except RuntimeError:
            return self._last if self._last != Models() else models_of(session)
        self._last = models_of(session)
        return self._last


def _of(agent: Any, session: AgentSession[Any], name: str) -> Any:
    own = getattr(agent, name, NOT_GIVEN)
    return own if is_given(own) else getattr(session, name)
