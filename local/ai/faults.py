"""Faults on demand: what a script makes the models do wrong, and to which requests.

A script's ``faults`` is a list; the first that hits a request is what happens to it::

    {"on": "llm", "do": "fail", "status": 429, "when": "first 2"}
    {"on": "tts", "do": "stall", "after": 3, "match": "goodbye"}

``on``: "stt", "llm", "tts", "realtime", whose requests are the responses of a session, or
"connect", the opening of one. What a realtime session tells of the caller's words is "stt" too.
``match``: a regular expression, case ignored, sought in the last user message (llm, realtime) or
in the text to speak (tts). ``when``: "always" (the default), "first 2", "from 3" or "only 2",
counted among the requests that match since the script was set. ``do``:

=============  =====================================================================================
fail           HTTP ``status`` (500) in OpenAI's shape; ``code`` and ``message`` replace its own
stall          never answers; or, with ``after``, stops for ever after so many pieces
empty          an empty transcript, an empty choice, no audio
cut            closes the connection after so many pieces (``after``: 1; 0: without any answer)
slow           ``delay_s`` before the answer, ``pause_s`` after each piece of it
unknown_tool   (llm, realtime) calls the function ``name`` ("no_such_tool")
bad_arguments  (llm, realtime) calls the first tool it was given, or ``name``, with ``arguments``
               that are no JSON
=============  =====================================================================================

A piece is an event of a chat, 0.2 s of speech, or half of an answer that is not streamed.
"""

import re
from typing import Annotated, Literal

import msgspec

Kind = Literal["stt", "llm", "tts", "realtime", "connect"]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
When = Annotated[str, msgspec.Meta(pattern=r"^(always|(first|from|only) [1-9][0-9]*)$")]


class _Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="do"):
    on: Kind
    match: str = ""
    when: When = "always"


class Fail(_Fault, frozen=True, tag="fail"):
    """Answer with an error."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 500
    code: str | None = None
    message: str | None = None


class Stall(_Fault, frozen=True, tag="stall"):
    """Never answer, or never go on."""

    after: Count | None = None


class Empty(_Fault, frozen=True, tag="empty"):
    """Answer, and say nothing."""


class Cut(_Fault, frozen=True, tag="cut"):
    """Close the connection in the middle."""

    after: Count = 1


class Slow(_Fault, frozen=True, tag="slow"):
    """Take long."""

    delay_s: Seconds = 0.0
    pause_s: Seconds = 0.0


class UnknownTool(_Fault, frozen=True, tag="unknown_tool"):
    """Call a function that nobody offered."""

    name: str = "no_such_tool"


class BadArguments(_Fault, frozen=True, tag="bad_arguments"):
    """Call a function with arguments that are no JSON."""

    name: str | None = None
    arguments: str = '{"unfinished": '


Fault = Fail | Stall | Empty | Cut | Slow | UnknownTool | BadArguments


def check(fault: Fault) -> None:
    """Refuse what cannot happen.

    Raises:
        ValueError: It says what to change. (``re.error`` is one too.)
    """
    re.compile(fault.match)
    if fault.on in {"stt", "connect"} and fault.match:
        raise ValueError(f'a fault on "{fault.on}" cannot have a "match": it has no text')
    if fault.on == "connect" and not isinstance(fault, Fail | Stall | Cut | Slow):
        raise ValueError('"connect" can only fail, stall, cut or be slow')
    if isinstance(fault, UnknownTool | BadArguments) and fault.on in {"stt", "tts"}:
        raise ValueError('only "llm" and "realtime" call tools')


class Faults:
    """The faults of a script, which count the requests they match."""

    def __init__(self, faults: list[Fault]) -> None:
        self._faults = faults
        self._matched = [0] * len(faults)

    def of(self, on: Kind, text: str) -> Fault | None:
        """Tell what happens to the next request of a kind."""
        chosen = None
        for place, fault in enumerate(self._faults):
            if fault.on == on and re.search(fault.match, text, re.IGNORECASE):
                self._matched[place] += 1
                if chosen is None and _hits(fault.when, self._matched[place]):
                    chosen = fault
        return chosen


def _hits(when: str, number: int) -> bool:
    word, _, limit = when.partition(" ")
    if word == "always":
        return True
    if word == "first":
        return number <= int(limit)
    return number == int(limit) if word == "only" else number >= int(limit)
