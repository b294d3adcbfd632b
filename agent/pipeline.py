"""The voice pipeline of a call, built from settings: speech to text, language model, speech."""

from typing import TYPE_CHECKING

from livekit.agents import AgentSession, TurnHandlingOptions, inference, vad
from livekit.plugins import openai, silero

if TYPE_CHECKING:
    from agent.settings import Settings


class Session(AgentSession[None]):
    """A session that knows whether the agent itself has ended it, with `shutdown`.

    LiveKit closes it with the same reason when the job is cut from outside.
    """

    ended_by_agent = False

    def shutdown(self, *, drain: bool = True) -> None:
        """Close the session; the call ends as hung up by the agent."""
        self.ended_by_agent = True
        super().shutdown(drain=drain)


def load_vad() -> vad.VAD:
    """Load Silero VAD: once for each job process, before it gets a call."""
    return silero.VAD.load()


def build_session(settings: "Settings", detector: vad.VAD) -> Session:
    """Return a session for one call, not started."""
    base_url = settings.openai_base_url
    api_key = settings.openai_api_key.get_secret_value()
    return Session(
        vad=detector,
        stt=openai.STT(
            model=settings.agent_stt_model,
            language=settings.agent_language,
            base_url=base_url,
            api_key=api_key,
        ),
        llm=openai.LLM(model=settings.agent_llm_model, base_url=base_url, api_key=api_key),
        tts=openai.TTS(
            model=settings.agent_tts_model,
            voice=settings.agent_tts_voice,
            base_url=base_url,
            api_key=api_key,
        ),
        turn_handling=turn_handling(settings),
    )


def turn_handling(settings: "Settings") -> TurnHandlingOptions:
    """Return LiveKit's options for turns; "model" is its own end-of-turn model."""
    if settings.agent_turn_detection == "model":
        return TurnHandlingOptions(turn_detection=inference.TurnDetector())
    return TurnHandlingOptions(turn_detection=settings.agent_turn_detection)
