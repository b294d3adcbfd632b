"""Responses of a realtime model that shows its server's events, as OpenAI's does: each a request.

LiveKit tells of those that ran to their end in its sight. It tells nothing of one that it threw
away before it began, of one that only called a function as the connection broke, and of one that
was under way as the session was closed. Names of events and fields: OpenAI's Realtime API,
https://platform.openai.com/docs/api-reference/realtime-server-events.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from livekit import rtc
from livekit.agents.llm import RealtimeSession

from callrecord.recording.usage.estimate import Answer, Size
from callrecord.recording.usage.meter import Meter
from callrecord.recording.usage.requests import Request, row_of
from callrecord.recording.usage.tokens import estimate, settle

SERVER_EVENT: Final = "openai_server_event_received"


@dataclass
class _Response:
    request: Request
    prompt: Size
    answered: Answer = field(default_factory=Answer)
    over: bool = False


class Responses:
    """Follows one session of a model; its connection may break and be opened again."""

    def __init__(self, meter: Meter, session: RealtimeSession[Any]) -> None:
        """Begin, in the session's `__init__`: nothing but its model is known of it yet."""
        self._meter = meter
        self._session = session
        self._model = session.realtime_model
        self._open: dict[str, _Response] = {}
        guarded = partial(meter.guarded, "realtime", self._model)
        self._finish = guarded(self._finish_response)
        # Not by its own `on`: a fallback's would bring the events of the models behind it again.
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
            return  # its transcript comes beside it
        text = event.get("delta") or ""
        called = "function_call" in event["type"]
        response.answered = response.answered.and_also(
            "" if called else text, len(text) if called else 0
        )

    def _done(self, told: dict[str, Any]) -> None:
        # One may end that was never told to begin, when it was cut at once.
        response = self._open.get(told["id"]) or self._begin(told["id"])
        request, usage = response.request, told.get("usage")
        status, details = told.get("status"), told.get("status_details") or {}
        began = request.row.ttft_ms is not None
        response.over = True
        request.change(cancelled=status == "cancelled")
        if status == "failed":
            error = details.get("error") or {}
            request.change(error=error.get("code") or error.get("type") or "failed")
            request.refused = usage is None and not began
        # What answered has used something, whatever a server without a meter says.
        if usage is not None and (usage.get("total_tokens") or not began):
            request.change(**_told(usage))
        request.finish()
        self._meter.responses[told["id"]] = request.row

    def _reconnected(self, _event: Any) -> None:
        """End what the last connection has left: nobody will tell of it any more."""
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


def _told(usage: dict[str, Any]) -> dict[str, Any]:
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
