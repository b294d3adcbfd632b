"""The spoken part of a text: without markup for the voice, and without what the session removes.

A model may write markdown, emojis, and markup that a voice obeys: SSML such as `<break time="1s"/>`
and, for some voices, sounds in brackets such as `[laughs]`.
"""

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, Final

from livekit.agents.voice.transcription.filters import filter_emoji, filter_markdown

_FILTERS: Final[dict[str, Callable[[AsyncIterable[str]], AsyncIterable[str]]]] = {
    "filter_markdown": filter_markdown,
    "filter_emoji": filter_emoji,
}
"""LiveKit's own transforms, which remove what is not spoken. An app's own functions are ignored:
they may change a spelling for the voice, but the words stay the same."""

_TAG: Final = re.compile(
    r"</?(?:audio|break|desc|emotion|emphasis|expr|express-as|fast|lang|laugh|laughter|loud|mark|"
    r"mstts:[\w-]+|pause|phoneme|pitch|prosody|s|p|say-as|sigh|slow|soft|sound|speak|speed|spell|"
    r"style|sub|token|voice|volume|w|whisper)\b[^<>]*>",
    re.IGNORECASE,
)
"""Elements of SSML 1.1 (https://www.w3.org/TR/speech-synthesis11/) and of voices' own markup."""

_SOUND: Final = re.compile(
    r"\[(?:(?:laugh|chuckl|giggl|sigh|gasp|cough|whisper|breath|inhal|exhal|sob|cry|yawn|hum|groan|"
    r"snort|sniff|shout|sing|mumbl|gulp|swallow)\w*|clears? (?:his |her |their )?throat|"
    r"(?:short |long )?pause|applause|music|silence|"
    r"(?:excited|sad|angry|happy|sarcastic|curious|surprised|crying|nervous|calm|cheerful)(?:ly)?)\]",
    re.IGNORECASE,
)
_SUSPECT: Final = re.compile(
    r"[<\[*_`~#\n\r\u00a9\u00ae\u200b-\u2fff\u3030-\u303f\u3200-\u32ff\ufe00-\ufe0f\U0001f000-\U000fffff]"
    r"|^\s*[-+>!\d]|[ \t]{2}"
)
"""Without any of these nothing can be removed: most sentences skip the filters."""

_OPEN_TAG: Final = re.compile(r"<[a-z/][^<>]*$", re.IGNORECASE)
_BLANKS: Final = re.compile(r"[ \t]{2,}")
_BEFORE_MARKS: Final = re.compile(r" +(?=[,.;:!?](?:\s|$))")


def spoken(text: str, transforms: Sequence[Any] | None) -> str:
    """Return the spoken part of a text.

    Args:
        text: The text as the model wrote it, perhaps cut off anywhere.
        transforms: The session's transforms of speech (`tts_text_transforms`).
    """
    if _SUSPECT.search(text) is None:
        return text.strip()
    return _taken_out(text, transforms)


def _taken_out(text: str, transforms: Sequence[Any] | None) -> str:
    plain = _OPEN_TAG.sub("", _SOUND.sub("", _TAG.sub("", text)))
    for name in transforms or ():
        if isinstance(name, str) and name in _FILTERS:
            plain = _filtered(plain, _FILTERS[name])
    if plain != text:  # what was removed leaves its spaces behind
        plain = _BEFORE_MARKS.sub("", _BLANKS.sub(" ", plain))
    return plain.strip()


def _filtered(text: str, transform: Callable[[AsyncIterable[str]], AsyncIterable[str]]) -> str:
    async def once() -> AsyncIterator[str]:
        yield text

    async def collected() -> str:
        return "".join([piece async for piece in transform(once())])

    steps = collected()
    try:
        steps.send(None)
    except StopIteration as done:
        return str(done.value)
    steps.close()  # it awaits something: a later version's filters may do so
    return text
