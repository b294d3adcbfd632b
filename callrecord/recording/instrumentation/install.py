"""The hooks: attach an observer to each stream that a recorded job opens.

They rely on what plugins rely on: a stream's `_run` is called once an attempt and answers in
`_event_ch`, and a model for whole utterances has a `_recognize_impl`. They also rely on two details
of LiveKit: a stream starts in a task, after its `__init__`, and a stream that only wraps others
overrides `_metrics_monitor_task`. Where this does not hold, the stream is left alone, LiveKit's
metrics count, and the call is marked as incomplete in its usage.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from livekit.agents import llm, stt, tts
from livekit.agents.voice import agent_activity

from callrecord.privacy import private_logger
from callrecord.recording.instrumentation.llm import LLMStreamObserver
from callrecord.recording.instrumentation.lookups import speech_id
from callrecord.recording.instrumentation.patches import apply_once, replace
from callrecord.recording.instrumentation.realtime import Responses, Transcriptions
from callrecord.recording.instrumentation.stt import STTStreamObserver, watch_recognition
from callrecord.recording.instrumentation.tts import TTSStreamObserver
from callrecord.recording.usage.meter import Meter, meter_here

logger = private_logger("voice.meter")

_INFERENCE = "perform_llm_inference"


class _Observer(Protocol):
    async def run(self, attempt: Callable[[], Awaitable[None]]) -> None: ...


def install() -> None:
    """Hook the streams of this process, once; jobs without a meter are not observed."""
    apply_once("metering", _install)


def _install() -> None:
    _hook_streams(llm.LLMStream, "llm", LLMStreamObserver)
    for base in (tts.ChunkedStream, tts.SynthesizeStream):
        _hook_streams(base, "tts", TTSStreamObserver)
    _hook_streams(stt.RecognizeStream, "stt", STTStreamObserver)
    _hook(llm.RealtimeSession, "realtime", "_realtime_model", _follow_realtime)
    _hook_recognition()
    _hook_generation()


def _hook_streams(base: type[Any], kind: str, observer: Callable[..., _Observer]) -> None:
    _hook(
        base, kind, f"_{kind}", functools.partial(_attach, base=base, kind=kind, observer=observer)
    )


def _hook(base: type[Any], kind: str, model: str, see: Callable[[Meter, Any], object]) -> None:
    """Call `see` for each new object of a class; `model` names the attribute with its model."""
    plain = base.__init__

    @functools.wraps(plain)
    def hooked(self: Any, *arguments: Any, **named: Any) -> None:
        plain(self, *arguments, **named)
        meter = meter_here()
        if meter is not None:
            meter.guarded(kind, getattr(self, model, None), see)(meter, self)

    replace(base, "__init__", hooked)


def _follow_realtime(meter: Meter, session: Any) -> None:
    Responses(meter, session)
    Transcriptions(meter, session)


def _hook_recognition() -> None:
    plain = stt.STT.recognize

    @functools.wraps(plain)
    async def hooked(self: stt.STT[Any], *arguments: Any, **named: Any) -> stt.SpeechEvent:
        meter = meter_here()
        if meter is not None:
            meter.guarded("stt", self, watch_recognition)(self)
        return await plain(self, *arguments, **named)

    replace(stt.STT, "recognize", hooked)


def _attach(
    meter: Meter, stream: Any, base: type[Any], kind: str, observer: Callable[..., _Observer]
) -> None:
    if not _asks_itself(type(stream), base):
        return
    attached = observer(meter, stream, getattr(stream, f"_{kind}"), speech_id())
    attempt = stream._run  # noqa: SLF001

    async def observed(*arguments: Any) -> None:
        await attached.run(functools.partial(attempt, *arguments))

    stream._run = observed  # noqa: SLF001


def _hook_generation() -> None:
    """Find the object in which LiveKit collects the generated text of a speech.

    It has what the agent's `llm_node` yields, without the words that the node drops or that other
    models write meanwhile. If LiveKit lacks it, the text output is used.
    """
    plain = getattr(agent_activity, _INFERENCE, None)
    if plain is None:
        return

    @functools.wraps(plain)
    def hooked(*arguments: Any, **named: Any) -> Any:
        inference = plain(*arguments, **named)
        try:
            meter, speech = meter_here(), speech_id()
            if meter is not None and speech is not None:
                meter.generates(speech, inference[1])
        except Exception:
            logger.exception("generated text not observed, the text output is used")
        return inference

    replace(agent_activity, _INFERENCE, hooked)


def _asks_itself(kind: type[Any], base: type[Any]) -> bool:
    """Whether streams of this class call a provider, and do not only wrap other streams."""
    return bool(kind._metrics_monitor_task is base._metrics_monitor_task)  # noqa: SLF001
