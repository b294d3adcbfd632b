"""Transcriptions by a realtime model that shows its server's events, as OpenAI's does.

The server transcribes each turn of the caller that is committed, and bills it. LiveKit tells of
those that were answered in its sight: not of one that is under way as the caller hangs up. Names of
events and fields: OpenAI's Realtime API,
https://platform.openai.com/docs/api-reference/realtime-server-events.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from livekit import rtc
from livekit.agents.llm import RealtimeSession

from callrecord.recording.instrumentation.realtime_responses import SERVER_EVENT
from callrecord.recording.instrumentation.stt_requests import AUDIO
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.requests import Request, row_of

TOKEN_MS: Final = 100
"""Milliseconds of a caller's audio that are one token,
https://platform.openai.com/docs/guides/realtime-costs."""
_PREFIX: Final = "conversation.item.input_audio_transcription."


@dataclass(frozen=True, slots=True)
class _Transcriber:
    provider: str
    model: str | None


class Transcriptions:
    """Follows one session of a model; its connection may break and be opened again."""

    def __init__(self, meter: Meter, session: RealtimeSession[Any]) -> None:
        """Begin, in the session's `__init__`."""
        self._meter = meter
        self._session = session
        self._model: str | None = None
        self._speech_ms: dict[str, int] = {}
        self._open: dict[str, Request] = {}
        model = session.realtime_model
        guarded = partial(meter.guarded, "stt", model)
        self._finish = guarded(self._finish_request)
        on = partial(rtc.EventEmitter.on, session)
        on(SERVER_EVENT, guarded(self._event))
        on("session_reconnected", guarded(self._reconnected))

    def _event(self, event: dict[str, Any]) -> None:
        match event.get("type", ""):
            case "session.created" | "session.updated":
                self._model = _transcriber_of(event["session"])
            case "input_audio_buffer.speech_started":
                self._speech_ms[event["item_id"]] = -event.get("audio_start_ms", 0)
            case "input_audio_buffer.speech_stopped":
                if event["item_id"] in self._speech_ms:
                    self._speech_ms[event["item_id"]] += event.get("audio_end_ms", 0)
            case "input_audio_buffer.committed" if self._model is not None:
                self._begin(event["item_id"])
            case str(name) if name.startswith(_PREFIX):
                self._told(name.removeprefix(_PREFIX), event)

    def _begin(self, item_id: str) -> None:
        # Below 0 if it was committed before the speech had ended, in mid-word.
        spoken_ms = max(0, self._speech_ms.pop(item_id, 0))
        heard = -(-spoken_ms // TOKEN_MS)
        row = row_of(
            "stt",
            _Transcriber(self._session.realtime_model.provider, self._model),
            audio_ms=spoken_ms,
            input_tokens=heard,
            input_audio_tokens=heard,
            total_tokens=heard,
            estimated=True,
            metadata={"open": True, "estimate": AUDIO},
        )
        request = self._open[item_id] = Request(row, lambda: None)
        request.finish = partial(self._finish, item_id)
        self._meter.asked_by(row, self._session)
        self._meter.begin(request)

    def _told(self, what: str, event: dict[str, Any]) -> None:
        request = self._open.get(event.get("item_id", ""))
        if request is None or what == "delta":
            return
        if what == "failed":
            error = event.get("error") or {}
            request.change(error=error.get("code") or error.get("type") or "failed")
            request.change(**_figures({}))
            request.note(estimate=None)
        elif usage := event.get("usage"):
            request.change(request_id=event.get("event_id"), **_figures(usage))
            request.note(estimate=None)
        request.finish()
        if event_id := event.get("event_id"):
            self._meter.transcriptions[event_id] = request.row

    def _reconnected(self, _event: Any) -> None:
        """End what the last connection has left: nobody will tell of it any more."""
        for request in list(self._open.values()):
            request.finish()

    def _finish_request(self, item_id: str) -> None:
        request = self._open.pop(item_id, None)
        if request is not None:
            request.change(duration_ms=request.age_ms())
            request.note(open=None)
            self._meter.end(request)


def _transcriber_of(session: dict[str, Any]) -> str | None:
    """Return the model that transcribes; None if none does."""
    heard = (session.get("audio") or {}).get("input") or {}
    told = heard.get("transcription") or session.get("input_audio_transcription") or {}
    return told.get("model")


def _figures(usage: dict[str, Any]) -> dict[str, Any]:
    """Return what a usage of the server's tells: of tokens, or of a duration."""
    details = usage.get("input_token_details") or {}
    return {
        "audio_ms": round((usage.get("seconds") or 0.0) * 1000),
        "input_tokens": usage.get("input_tokens") or 0,
        "input_audio_tokens": details.get("audio_tokens") or 0,
        "output_tokens": usage.get("output_tokens") or 0,
        "total_tokens": usage.get("total_tokens") or 0,
        "estimated": False,
    }
