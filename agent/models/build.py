"""The models of a call: change `build_models` to use another provider's.

A list is in order: the first one is asked, the next one when that fails or stalls. A plugin of
LiveKit's is one line more (and `uv add livekit-plugins-deepgram`), beside OpenAI's or in its place:

    from livekit.plugins import deepgram

    stt=[deepgram.STT(model="nova-3"), *speech_to_text(settings, clients)],

Noise cancellation (of LiveKit Cloud, `uv add livekit-plugins-noise-cancellation`):

    from livekit.plugins import noise_cancellation

    noise_cancellation=noise_cancellation.BVC(),  # of callers by phone: BVCTelephony()

More in docs/models.md. Import plugins at the top of this file, as LiveKit wants them registered by
the main thread; their keys come from the environment.
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
    """What hears, thinks and speaks.

    Attributes:
        vad: Tells speech from silence.
        stt: Speech to text; none with a realtime model.
        llm: Language models; none with a realtime model.
        tts: Text to speech; with a realtime model it says what is fixed, such as the greeting.
        realtime: In place of the three.
        noise_cancellation: What the caller's audio goes through first.
    """

    vad: VAD
    stt: Sequence[STT[Any]] = ()
    llm: Sequence[LLM[Any]] = ()
    tts: Sequence[TTS[Any]] = ()
    realtime: RealtimeModel | None = None
    noise_cancellation: NoiseCancellation | None = None


def build_models(settings: Settings, clients: Clients) -> Models:
    """Return the models, as the settings have them. Called once in a call's process, ahead of it.

    Args:
        settings: All settings.
        clients: Of OpenAI's API, for models that are asked with it.
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
