"""The models of a call: change `build_models` to use another provider's.

Lists are in order: the first model is used, and the next one when it fails or stalls. Another
LiveKit plugin is one more line (and `uv add livekit-plugins-deepgram`), with or without OpenAI's:

    from livekit.plugins import deepgram

    stt=[deepgram.STT(model="nova-3"), *speech_to_text(settings, clients)],

Noise cancellation (of LiveKit Cloud, `uv add livekit-plugins-noise-cancellation`):

    from livekit.plugins import noise_cancellation

    noise_cancellation=noise_cancellation.BVC(),  # of callers by phone: BVCTelephony()

See docs/models.md. Import plugins at the top of this file, as LiveKit requires the main thread to
register them; their keys come from the environment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from livekit import rtc
from livekit.agents.llm import LLM, RealtimeModel
from livekit.agents.stt import STT
from livekit.agents.tts import TTS
from livekit.agents.vad import VAD
from livekit.agents.voice.room_io.types import NoiseCancellationSelector
from livekit.plugins import silero

from agent.models.clients import Clients
from agent.models.openai_models import (
    language_model,
    realtime_model,
    speech_to_text,
    text_to_speech,
)
from agent.settings import Settings

NoiseCancellation = (
    rtc.NoiseCancellationOptions | rtc.FrameProcessor[rtc.AudioFrame] | NoiseCancellationSelector
)


@dataclass(frozen=True)
class Models:
    """The models of a call.

    Attributes:
        vad: Distinguishes speech from silence.
        stt: Speech to text; none with a realtime model.
        llm: Language models; none with a realtime model.
        tts: Text to speech; with a realtime model it says fixed texts, such as the greeting.
        realtime: The realtime model, which replaces the three.
        noise_cancellation: Filters the caller's audio first.
    """

    vad: VAD
    stt: Sequence[STT[Any]] = ()
    llm: Sequence[LLM[Any]] = ()
    tts: Sequence[TTS[Any]] = ()
    realtime: RealtimeModel | None = None
    noise_cancellation: NoiseCancellation | None = None


def build_models(settings: Settings, clients: Clients) -> Models:
    """Return the models of the settings. Called once in a call's process, before the call.

    Args:
        settings: All settings.
        clients: Clients of OpenAI's API, for models that use it.
    """
    realtime = realtime_model(settings)
    if realtime is not None:
        return Models(
            vad=silero.VAD.load(),
            realtime=realtime,
            tts=text_to_speech(settings, clients),
        )
    return Models(
        vad=silero.VAD.load(),
        stt=speech_to_text(settings, clients),
        llm=language_model(settings, clients),
        tts=text_to_speech(settings, clients),
    )
