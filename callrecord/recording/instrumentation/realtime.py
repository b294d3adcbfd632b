"""Realtime models that expose their server's events, as OpenAI's do: responses, transcriptions.

Each response is a request. LiveKit reports only the responses that it saw end. It does not report
one that it discarded before it began, one that only called a function when the connection broke, or
one that was running when the session was closed.

The server also transcribes each committed turn of the caller, and bills it. LiveKit does not report
a transcription that is running when the caller hangs up. The names of events and fields are those
of OpenAI's Realtime API:
https://platform.openai.com/docs/api-reference/realtime-server-events.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from livekit import rtc
from livekit.agents.llm import RealtimeSession

from callrecord.recording.usage.estimate import Answer, Size
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.requests import AUDIO, Request, estimate, row_of, settle

SERVER_EVENT: Final = "openai_server_event_received"


@dataclass
class _Response:
    request: Request
    prompt: Size
    answered: Answer = field(default_factory=Answer)
    over: bool = False


class Responses:
    """Observes the responses of one session; its connection may break and be opened again."""

    def __init__(self, meter: Meter, session: RealtimeSession[Any]) -> None:
        """Attach in the session's `__init__`, when only its model is set."""
        self._meter = meter
        self._session = session
        self._model = session.realtime_model
        self._open: dict[str, _Response] = {}
        guarded = partial(meter.guarded, "realtime", self._model)
        self._finish = guarded(self._finish_response)
        # Not its own `on`: a fallback's `on` would repeat the events of the models behind it.
        on = partial(rtc.EventEmitter.on, session)
        on(SERVER_EVENT, guarded(self._event))
        on("session_reconnected", guarded(self._reconnected))

    def _event(self, event: dict[str, Any]) -> None:
        match event.get("type", ""):
            case "response.created":
                self._begin(event["response"]["id"])
            case "response.done":
                self._done(event["response"])
            case str(name) if name.startswith("response.") and name.endswith(".delta"):
                self._piece(event, sound=name.endswith("audio.delta"))

    def _begin(self, response_id: str) -> _Response:
        meter, model = self._meter, self._model
        row = row_of(
            "realtime",
            model,
            request_id=response_id,
            estimated=True,
            metadata={"open": True},
        )
        request = Request(row, lambda: None)
        prompt = meter.scale.weigh(self._session.chat_ctx, self._session.tools.flatten())
        response = self._open[response_id] = _Response(request, prompt)
        request.finish = partial(self._finish, response_id)
        estimate(meter.estimator, model.model, request, prompt, response.answered)
        meter.asked_by(row, self._session)
        meter.saw(request.row)
        meter.begin(request)
        return response

    def _piece(self, event: dict[str, Any], *, sound: bool) -> None:
        response = self._open.get(event.get("response_id", ""))
        if response is None:
            return
        response.request.answered()
        if sound:
            return  # its transcript arrives separately
        text = event.get("delta") or ""
        called = "function_call" in event["type"]
        response.answered = response.answered.and_also(
            "" if called else text, len(text) if called else 0
        )

    def _done(self, reported: dict[str, Any]) -> None:
        # A response that was cancelled at once may end without "response.created".
        response = self._open.get(reported["id"]) or self._begin(reported["id"])
        request, usage = response.request, reported.get("usage")
        status, details = reported.get("status"), reported.get("status_details") or {}
        began = request.row.ttft_ms is not None
        response.over = True
        request.change(cancelled=status == "cancelled")
        if status == "failed":
            error = details.get("error") or {}
            request.change(error=error.get("code") or error.get("type") or "failed")
            request.refused = usage is None and not began
        # A response that answered has used something, even if a server reports zeros.
        if usage is not None and (usage.get("total_tokens") or not began):
            request.change(**_reported(usage))
        request.finish()
        self._meter.response_over(reported["id"], request.row)

    def _reconnected(self, _event: Any) -> None:
        """End the last connection's open responses: the server will not report on them any more."""
        for response in list(self._open.values()):
            response.request.finish()

    def _finish_response(self, response_id: str) -> None:
        response = self._open.pop(response_id, None)
        if response is None:
            return
        request = response.request
        request.change(cancelled=request.row.cancelled or not response.over)
        if settle(
            self._meter.estimator, self._model.model, request, response.prompt, response.answered
        ):
            self._meter.told_nothing(request.row)
        self._meter.end(request)


def _reported(usage: dict[str, Any]) -> dict[str, Any]:
    read = usage.get("input_token_details") or {}
    made = usage.get("output_token_details") or {}
    cached = read.get("cached_tokens_details") or {}
    return {
        "input_tokens": usage.get("input_tokens") or 0,
        "cached_input_tokens": read.get("cached_tokens") or 0,
        "input_audio_tokens": read.get("audio_tokens") or 0,
        "cached_audio_tokens": cached.get("audio_tokens") or 0,
        "output_tokens": usage.get("output_tokens") or 0,
        "output_audio_tokens": made.get("audio_tokens") or 0,
        "reasoning_tokens": made.get("reasoning_tokens") or 0,
        "total_tokens": usage.get("total_tokens") or 0,
        "estimated": False,
    }


TOKEN_MS: Final = 100
"""Milliseconds of a caller's audio per token,
https://platform.openai.com/docs/guides/realtime-costs."""
_PREFIX: Final = "conversation.item.input_audio_transcription."


@dataclass(frozen=True, slots=True)
class _Transcriber:
    provider: str
    model: str | None


class Transcriptions:
    """Observes the transcriptions of one session; its connection may break and be opened again."""

    def __init__(self, meter: Meter, session: RealtimeSession[Any]) -> None:
        """Attach in the session's `__init__`."""
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
                self._ended(name.removeprefix(_PREFIX), event)

    def _begin(self, item_id: str) -> None:
        # It is negative if the turn was committed before the speech had ended.
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

    def _ended(self, what: str, event: dict[str, Any]) -> None:
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
            self._meter.transcription_over(event_id, request.row)

    def _reconnected(self, _event: Any) -> None:
        """End the last connection's open requests: the server will not report on them any more."""
        for request in list(self._open.values()):
            request.finish()

    def _finish_request(self, item_id: str) -> None:
        request = self._open.pop(item_id, None)
        if request is not None:
            request.change(duration_ms=request.age_ms())
            request.note(open=None)
            self._meter.end(request)


def _transcriber_of(session: dict[str, Any]) -> str | None:
    """Return the name of the model that transcribes; None if there is none."""
    heard = (session.get("audio") or {}).get("input") or {}
    settings = heard.get("transcription") or session.get("input_audio_transcription") or {}
    return settings.get("model")


def _figures(usage: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the server's usage, which is in tokens or in seconds."""
    details = usage.get("input_token_details") or {}
    return {
        "audio_ms": round((usage.get("seconds") or 0.0) * 1000),
        "input_tokens": usage.get("input_tokens") or 0,
        "input_audio_tokens": details.get("audio_tokens") or 0,
        "output_tokens": usage.get("output_tokens") or 0,
        "total_tokens": usage.get("total_tokens") or 0,
        "estimated": False,
    }
