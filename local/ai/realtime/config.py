"""A session's configuration, as ``session.update`` changes it."""

import copy
from typing import Any

from local.ai.protocol import new_id
from local.ai.realtime.channel import EventError
from local.ai.speech_model import RATE

_PCM = {"type": "audio/pcm", "rate": RATE}
_DETECTION: dict[str, dict[str, Any]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}


class Config:
    """What the session was asked to be; begins with OpenAI's defaults."""

    def __init__(self, model: str) -> None:
        self._session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": new_id("sess"),
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
            "reasoning": None,
            "audio": {
                "input": {
                    "format": _PCM,
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": _DETECTION["server_vad"],
                },
                "output": {"format": _PCM, "voice": "marin", "speed": 1.0},
            },
        }

    def update(self, changes: dict[str, Any]) -> None:
        """Take over what is given; leave the rest as it is.

        Raises:
            EventError: The changes ask for something that is not there; nothing is changed.
        """
        changed = copy.deepcopy(self._session)
        if changes.get("type", "realtime") != "realtime":
            raise EventError(
                "This server has no transcription sessions.",
                code="invalid_value",
                param="session.type",
            )
        audio = changes.get("audio") or {}
        _take(changed, {k: v for k, v in changes.items() if k != "audio"}, "session")
        for side in ("input", "output"):
            _take(changed["audio"][side], audio.get(side) or {}, f"session.audio.{side}")
            _check_format(changed["audio"][side], side)
        changed["audio"]["input"]["turn_detection"] = _whole(
            changed["audio"]["input"]["turn_detection"]
        )
        self._session = changed

    def as_json(self) -> dict[str, Any]:
        """The ``session`` object."""
        return self._session

    def __getitem__(self, name: str) -> Any:
        return self._session[name]

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        """How turns are found; None: the client commits them."""
        detection: dict[str, Any] | None = self._session["audio"]["input"]["turn_detection"]
        return detection

    @property
    def transcription(self) -> dict[str, Any] | None:
        """Whether and as which model the client is told what was heard."""
        transcription: dict[str, Any] | None = self._session["audio"]["input"]["transcription"]
        return transcription

    @property
    def speed(self) -> float:
        """How fast to speak, 1.0 being normal."""
        return float(self._session["audio"]["output"]["speed"] or 1.0)


def _take(into: dict[str, Any], changes: dict[str, Any], path: str) -> None:
    for name, value in changes.items():
        if name not in into:
            raise EventError(
                f"Unknown parameter: '{path}.{name}'.",
                code="unknown_parameter",
                param=f"{path}.{name}",
            )
        into[name] = value


def _check_format(audio: dict[str, Any], side: str) -> None:
    kind = (audio["format"] or {}).get("type")
    if kind != "audio/pcm":
        raise EventError(
            f"This server knows no other format than 'audio/pcm', not '{kind}'.",
            code="invalid_value",
            param=f"session.audio.{side}.format",
        )


def _whole(detection: dict[str, Any] | None) -> dict[str, Any] | None:
    """Turn detection with the defaults of its type."""
    if detection is None:
        return None
    kind = detection.get("type")
    if kind not in _DETECTION:
        raise EventError(
            f"Invalid value: '{kind}'. Supported values are: 'server_vad' and 'semantic_vad'.",
            code="invalid_value",
            param="session.audio.input.turn_detection.type",
        )
    given = {name: value for name, value in detection.items() if value is not None}
    return _DETECTION[kind] | given
