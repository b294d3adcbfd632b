"""The voice pipeline of a call: builds a session from the models, and configures its turns."""

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
"""How many seconds a session's close waits for a transcript if none is pending."""
RETRIES = 1
"""Retries of a failed model before the failure counts: a caller does not wait for more."""


class Session(StayingSession):
    """A session that waits for its caller's last transcript, and stays for the last words."""

    before_close: Callable[[], Awaitable[None]] | None = None
    """Awaited before the session closes, while it still gets audio."""

    async def aclose(self) -> None:
        """Close the session. Never raises: LiveKit would then skip the end of the call."""
        for step in (self.before_close, super().aclose):
            try:
                if step is not None:
                    await step()
            except Exception as error:  # noqa: BLE001 - from a plugin, such as a lost model's
                logger.warning("session not closed in order", error=type(error).__name__)


@dataclass(frozen=True)
class Parts:
    """What a job's process prepares before it gets a call, because it takes long.

    Attributes:
        models: All models, separately.
        clients: The clients of OpenAI's API.
        stt: Speech to text, with all its providers combined.
        llm: The language model, with all its providers combined, or the realtime model.
        tts: Text to speech, with all its providers combined.
        providers: The most providers of one model, which may fail one after the other.
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
        # A realtime model that ends the turns itself also distinguishes speech from silence.
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
        # LiveKit's default withholds the caller's audio meanwhile: a "hello?" during the greeting
        # would not become a turn.
        aec_warmup_duration=settings.agent_aec_warmup_s or None,
        session_close_transcript_timeout=CLOSE_WAIT_S,
        user_away_timeout=settings.agent_silence_timeout_s or None,  # agent/rescue/limits.py
    )


def audio_input(parts: Parts) -> room_io.AudioInputOptions:
    """Return LiveKit's options for the caller's audio."""
    return room_io.AudioInputOptions(noise_cancellation=parts.models.noise_cancellation)


def turn_handling(settings: "Settings", *, realtime: bool = False) -> TurnHandlingOptions:
    """Return LiveKit's options for turns; "model" is its own end-of-turn model.

    All choices run in the worker: by default, LiveKit first calls a gateway of its cloud, no matter
    which server the worker belongs to.
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
