"""The voice pipeline of a call, built from settings: speech to text, language model, speech."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from livekit.agents import AgentSession, InterruptionOptions, TurnHandlingOptions, inference, vad
from livekit.plugins import openai, silero
from openai import AsyncOpenAI, Timeout

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


@dataclass(frozen=True)
class Parts:
    """What a job's process makes before it gets a call, because it takes long.

    Attributes:
        vad: Silero's voice activity detection.
        client: One for all three models: each would bring its own SSL context, and block the
            call's loop for it. To be closed after the call.
    """

    vad: vad.VAD
    client: AsyncOpenAI


def prepare(settings: "Settings") -> Parts:
    """Load what does not depend on a call."""
    return Parts(
        vad=silero.VAD.load(),
        client=AsyncOpenAI(
            api_key=settings.openai_api_key.get_secret_value(),
            base_url=settings.openai_base_url,
            max_retries=0,  # LiveKit retries, and says so
            timeout=Timeout(connect=15.0, read=5.0, write=5.0, pool=5.0),
        ),
    )


def build_session(settings: "Settings", parts: Parts) -> Session:
    """Return a session for one call, not started."""
    client = parts.client
    return Session(
        vad=parts.vad,
        stt=openai.STT(
            model=settings.agent_stt_model, language=settings.agent_language, client=client
        ),
        llm=openai.LLM(model=settings.agent_llm_model, client=client),
        tts=openai.TTS(
            model=settings.agent_tts_model, voice=settings.agent_tts_voice, client=client
        ),
        turn_handling=turn_handling(settings),
        user_away_timeout=settings.agent_silence_timeout_s or None,  # agent/limits.py
    )


def turn_handling(settings: "Settings") -> TurnHandlingOptions:
    """Return LiveKit's options for turns; "model" is its own end-of-turn model.

    Both choices are those that run in the worker: left to itself, LiveKit asks a gateway of its
    cloud first, whichever server the worker belongs to.
    """
    interruption = InterruptionOptions(mode=settings.agent_interruption_mode)
    if settings.agent_turn_detection == "model":
        local = inference.TurnDetector(version="v1-mini")
        return TurnHandlingOptions(turn_detection=local, interruption=interruption)
    return TurnHandlingOptions(
        turn_detection=settings.agent_turn_detection, interruption=interruption
    )
