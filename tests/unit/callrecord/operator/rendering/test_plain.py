"""What reaches a terminal, and how it is broken into lines."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callrecord.operator.rendering.as_json import as_json, compact
from callrecord.operator.rendering.plain import plain, width_of, wrapped

HARMLESS = "\u200c\u200d"


def obeyed(text: str) -> list[str]:
    """Return the characters that a terminal does not just show."""
    return [each for each in text if unicodedata.category(each)[0] == "C" and each not in HARMLESS]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 巴黎 👩\u200d👧", "Größe 巴黎 👩\u200d👧"),
        ("a\tb\r\nc\u2028d\xa0e", "a b  c d e"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202eevil\u2066\ufeff", "\\u202eevil\\u2066\\ufeff"),
    ],
)
def test_text_is_one_line_without_anything_to_obey(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(codec="utf-8")))
def test_nothing_is_obeyed_and_json_keeps_its_value(text: str) -> None:
    assert not obeyed(plain(text))
    for told in (as_json({"said": text}), compact({"said": text})):
        assert not obeyed(told.replace("\n", ""))
        assert json.loads(told) == {"said": text}


@given(st.text(st.sampled_from("ab 巴e\u0301")), st.integers(2, 12))
def test_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_lines_are_cut_between_words() -> None:
    assert wrapped("one two  three", 7) == ["one two", "three"]
    assert wrapped("a 123456789 b", 4) == ["a", "1234", "5678", "9 b"]
    assert wrapped("", 4) == [""]
