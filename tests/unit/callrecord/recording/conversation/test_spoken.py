"""What is stored of a reply is what is heard."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrecord.recording.conversation import spoken as module
from callrecord.recording.conversation.spoken import spoken

DEFAULT = ("filter_markdown", "filter_emoji")


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ('Sure. <break time="1s"/> [laughs] **Done**, really. ', "Sure. Done, really."),
        ("<speak>Hi <emphasis level='strong'>there</emphasis></speak>", "Hi there"),
        ('<emotion value="happy"/>Hello [clears throat].', "Hello."),
        ("Of course. ", "Of course."),
        ("Hello \U0001f600 there", "Hello there"),
        ("See [the docs](https://example.com).", "See the docs."),
        ("It was cut in mid-tag <brea", "It was cut in mid-tag"),
    ],
)
def test_directions_for_the_voice_are_not_heard(written: str, heard: str) -> None:
    assert spoken(written, DEFAULT) == heard


@pytest.mark.parametrize(
    "text",
    ["a < b and c > d", "5 * 3 is 15", "your [number], please", "I paid 3 <5 euros>", "x_y@z.org"],
)
def test_words_that_only_look_like_it_stay(text: str) -> None:
    assert spoken(text, DEFAULT) == text


def test_what_the_session_does_not_filter_is_heard() -> None:
    assert spoken("**Done** \U0001f600", None) == "**Done** \U0001f600"
    assert spoken("**Done** \U0001f600", ["filter_emoji"]) == "**Done**"


def test_somebodys_own_transform_is_for_the_voice() -> None:
    """It says a word in another spelling; it is not run a second time for the record."""

    def transform(text: AsyncIterable[str]) -> AsyncIterable[str]:
        raise AssertionError(text)

    assert spoken("nginx", [transform]) == "nginx"


def test_a_filter_that_waits_leaves_the_text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def waits(text: AsyncIterable[str]) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        async for piece in text:
            yield piece.upper()

    filters: dict[str, Any] = {"filter_markdown": waits}
    monkeypatch.setattr(module, "_FILTERS", filters)
    assert spoken("same", DEFAULT) == "same"


@given(st.text(max_size=300))
def test_a_text_that_is_spared_the_filters_would_pass_them(text: str) -> None:
    assert spoken(text, DEFAULT) == module._taken_out(text, DEFAULT)


@given(st.text(alphabet="ab. -+>!1<*_`~[]()#", max_size=60))
def test_neither_would_one_of_marks(text: str) -> None:
    assert spoken(text, DEFAULT) == module._taken_out(text, DEFAULT)
