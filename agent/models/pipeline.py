"""The voice pipeline of a call: the models put together to a session, and how it takes turns."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from livekit.agents import (
    APIConnectOptions,
    EndpointingOptions,
    InterruptionOptions,
    PreemptiveGenerationOptions,
    TurnHandlingOptions,
    inference,
    room_io,
)
from livekit.agents.llm import LLM, RealtimeModel
from livekit.agents.stt import STT
from livekit.agents.tts import TTS
from livekit.agents.types import NOT_GIVEN
from livekit.agents.voice.agent_session import SessionConnectOptions

from agent.livekit_names import StayingSession
from agent.models.build import Models, build_models
from agent.models.clients import Clients
from agent.models.providers import hearing, speaking, thinking

if TYPE_CHECKING:
    from agent.settings import Settings

logger = structlog.get_logger("voice.pipeline")

CLOSE_WAIT_S = 0.5
"""Seconds a session's close waits for a transcript if nothing that was said lacks one."""
RETRIES = 1
"""Of a model that failed, before the failure counts: a caller does not wait for more."""


class Session(StayingSession):
    """A session that hears its caller out, and stays for the last words (agent/rescue)."""

    before_close: Callable[[], Awaitable[None]] | None = None
    """Awaited at the session's end, while it still hears."""

    async def aclose(self) -> None:
        """Close the session. Never raises: LiveKit would leave out the call's end then."""
        for step in (self.before_close, super().aclose):
            try:
                if step is not None:
                    await step()
            except Exception as error:  # noqa: BLE001 - of a plugin: a lost model's, say
                logger.warning("session not closed in order", error=type(error).__name__)


@dataclass(frozen=True)
class Parts:
    """What a job's process makes before it gets a call, because it takes long.

    Attributes:
        models: All models, each by itself.
        clients: Of OpenAI's API.
        stt: Speech to text, with all its providers in one.
        llm: The language model likewise, or the realtime model.
        tts: Text to speech likewise.
        providers: How many may have to fail, one after the other, before an answer is late.
    """

    models: Models
    clients: Clients
    stt: STT[Any] | None
    llm: LLM[Any] | RealtimeModel | None
    tts: TTS[Any] | None
    providers: int

    async def aclose(self) -> None:
        """Close all connections, after the call."""
        for model in (self.stt, self.llm, self.tts):
            if model is not None:
                await model.aclose()
        await self.clients.aclose()


def prepare(settings: "Settings") -> Parts:
    """Load what does not depend on a call."""
    clients = Clients(settings.agent_model_timeout_s)
    models = build_models(settings, clients)
    return Parts(
        models=models,
        clients=clients,
        stt=hearing(models, settings.agent_model_timeout_s),
        llm=models.realtime or thinking(models, settings.agent_model_timeout_s),
        tts=speaking(models),
        providers=max(1, len(models.stt), len(models.llm), len(models.tts)),
    )


def build_session(settings: "Settings", parts: Parts) -> Session:
    """Return a session for one call, not started."""
    asked = APIConnectOptions(max_retry=RETRIES, timeout=settings.agent_model_timeout_s)
    turns = turn_handling(settings, realtime=parts.models.realtime is not None)
    return Session(
        # A realtime model that ends the turns itself also tells speech from silence.
        vad=None if turns["turn_detection"] == "realtime_llm" else parts.models.vad,
        stt=parts.stt or NOT_GIVEN,
        llm=parts.llm or NOT_GIVEN,
        tts=parts.tts or NOT_GIVEN,
        turn_handling=turns,
        conn_options=SessionConnectOptions(
            stt_conn_options=asked,
            llm_conn_options=asked,
            tts_conn_options=asked,
            max_unrecoverable_errors=sys.maxsize,  # agent/rescue ends the call, and says so
        ),
        # LiveKit's default keeps what a caller says meanwhile from speech to text: a "hello?" as
        # one is greeted would be no turn.
        aec_warmup_duration=settings.agent_aec_warmup_s or None,
        session_close_transcript_timeout=CLOSE_WAIT_S,
        user_away_timeout=settings.agent_silence_timeout_s or None,  # agent/rescue/limits.py
    )


def audio_input(parts: Parts) -> room_io.AudioInputOptions:
    """Return how the caller's audio is taken in."""
    return room_io.AudioInputOptions(noise_cancellation=parts.models.noise_cancellation)


def turn_handling(settings: "Settings", *, realtime: bool = False) -> TurnHandlingOptions:
    """Return LiveKit's options for turns; "model" is its own end-of-turn model.

    The choices are those that run in the worker: left to itself, LiveKit asks a gateway of its
    cloud first, whichever server the worker belongs to.
    """
    chosen = settings.agent_turn_detection or ("realtime_llm" if realtime else "model")
    endpointing = EndpointingOptions(mode=settings.agent_endpointing_mode)
    if settings.agent_endpointing_min_delay is not None:
        endpointing["min_delay"] = settings.agent_endpointing_min_delay
    if settings.agent_endpointing_max_delay is not None:
        endpointing["max_delay"] = settings.agent_endpointing_max_delay
    return TurnHandlingOptions(
        turn_detection=inference.TurnDetector(version="v1-mini") if chosen == "model" else chosen,
        endpointing=endpointing,
        interruption=InterruptionOptions(
            enabled=settings.agent_interruption_enabled,
            mode=settings.agent_interruption_mode,
            min_duration=settings.agent_interruption_min_duration,
            min_words=settings.agent_interruption_min_words,
            resume_false_interruption=settings.agent_resume_false_interruption,
            false_interruption_timeout=settings.agent_false_interruption_timeout,
        ),
        preemptive_generation=PreemptiveGenerationOptions(
            enabled=settings.agent_preemptive_generation,
            preemptive_tts=settings.agent_preemptive_tts,
        ),
    )
