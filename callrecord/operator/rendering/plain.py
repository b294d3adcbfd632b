"""Text from outside that is safe in a terminal, and how wide it is there."""

import unicodedata
from collections.abc import Iterator

_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Format characters of honest text: emoji and Persian are written with them."""


def harmless(each: str) -> bool:
    """Return whether a terminal shows this character, and does nothing else with it."""
    return each.isprintable() or each in _JOINERS


def plain(text: str) -> str:
    """Return the text in one line, with each control or format character as its escape.

    A terminal would obey them: move its cursor, change its title, turn the order of letters round.
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
    """Return how many columns a terminal takes for it."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most that many columns, cut between words where it can be."""
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
    """Yield a word, or if it is too long full lines of it and its rest."""
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
