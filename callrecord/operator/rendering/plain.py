"""Makes untrusted text safe for a terminal, and measures its width there."""

import unicodedata
from collections.abc import Iterator

_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Format characters that normal text needs, such as emoji and Persian."""


def harmless(each: str) -> bool:
    """Return whether a terminal only displays this character."""
    return each.isprintable() or each in _JOINERS


def plain(text: str) -> str:
    """Return the text on one line, with each control or format character escaped.

    A terminal would act on them: move its cursor, change its title, reverse the order of letters.
    """
    return "".join(
        each
        if harmless(each)
        else " "
        if each.isspace()
        else each.encode("unicode_escape").decode()
        for each in text
    )


def width_of(text: str) -> int:
    """Return how many columns the text takes in a terminal."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def wrapped(text: str, width: int) -> list[str]:
    """Wrap the text to lines of at most `width` columns, between words where possible."""
    lines: list[str] = []
    line, used = "", 0
    for word in text.split():
        for piece in _pieces(word, width):
            wide = width_of(piece)
            if line and used + 1 + wide <= width:
                line, used = f"{line} {piece}", used + 1 + wide
                continue
            if line:
                lines.append(line)
            line, used = piece, wide
    return [*lines, line]


def _pieces(word: str, width: int) -> Iterator[str]:
    """Yield a word; split one that is too long into full lines and the rest."""
    start = taken = 0
    for place, each in enumerate(word):
        columns = _columns(each)
        if taken + columns > width and place > start:
            yield word[start:place]
            start, taken = place, 0
        taken += columns
    yield word[start:]


def _columns(each: str) -> int:
    if unicodedata.combining(each) or unicodedata.category(each) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(each) in {"W", "F"} else 1
