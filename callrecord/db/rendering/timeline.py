"""A timeline in a terminal: a line for each lane, in rows of time that fit its width."""

import math
from collections.abc import Iterable, Iterator

from callrecord.db.rendering.plain import plain, width_of
from callrecord.db.timeline import Mark, Span, Timeline, Wait

SECONDS_A_COLUMN = 0.5
LABEL = 10
_TICK_S = 10
_SPEECH, _CUT, _WAIT, _TYPED, _TOOL = "━", "\N{BOX DRAWINGS LIGHT DIAGONAL CROSS}", "·", "✎", "▒"
LEGEND = f"{_SPEECH} speech  {_CUT} interrupted  {_WAIT} waiting for the answer  {_TYPED} typed"
_COLOURS = {"caller": 36, "agent": 32, "tool": 33, "wait": 90, "cut": 31}

Cell = tuple[str, str]
"""A character, and whose it is."""


def timeline_lines(timeline: Timeline, *, width: int, colour: bool = False) -> list[str]:
    """Return the lines of a call's timeline; none for a call of no length.

    Args:
        timeline: What to draw.
        width: Columns of the terminal.
        colour: Write ANSI colours.
    """
    if not timeline.spans:
        return []
    columns = max(20, width - LABEL - 1)
    span_s = columns * SECONDS_A_COLUMN
    lines = [LEGEND]
    for row in range(max(1, math.ceil((timeline.seconds + 0.01) / span_s))):
        lines += ["", *_row(timeline, row * span_s, columns, colour=colour)]
    return lines


def _row(timeline: Timeline, begin: float, columns: int, *, colour: bool) -> Iterator[str]:
    yield f"{'':{LABEL}} {_axis(begin, columns)}".rstrip()
    for lane, name in enumerate(timeline.lanes):
        cells: list[Cell] = [(" ", "")] * columns
        for wait in timeline.waits:
            if wait.lane == lane:
                _draw_wait(cells, wait, begin)
        for span in timeline.spans:
            if span.lane == lane:
                _draw_span(cells, span, begin)
        yield f"{_label(name)} {_text(cells, colour=colour)}".rstrip()
    end = begin + columns * SECONDS_A_COLUMN
    yield from _marks((mark for mark in timeline.marks if begin <= mark.at < end), begin, columns)


def _axis(begin: float, columns: int) -> str:
    text = ""
    first = math.ceil(begin / _TICK_S) * _TICK_S
    for tick in range(int(first), int(begin + columns * SECONDS_A_COLUMN), _TICK_S):
        place = _column(tick, begin)
        text = f"{text:{place}}|{tick // 60}:{tick % 60:02}"
    return text[:columns]


def _draw_span(cells: list[Cell], span: Span, begin: float) -> None:
    first, last = _column(span.start, begin), _column(span.end, begin)
    letter = {"tool": _TOOL}.get(span.kind, _TYPED if span.typed else _SPEECH)
    for place in range(max(0, first), min(len(cells), max(last, first + 1))):
        cells[place] = (letter, span.kind)
    if span.interrupted and 0 <= max(last - 1, first) < len(cells):
        cells[max(last - 1, first)] = (_CUT, "cut")
    if span.kind == "tool":
        _write(cells, max(last, first + 1) + 1, f"{plain(span.text)} {span.end - span.start:.1f}s")


def _draw_wait(cells: list[Cell], wait: Wait, begin: float) -> None:
    first, last = _column(wait.start, begin), _column(wait.end, begin)
    for place in range(max(0, first), min(len(cells), last)):
        cells[place] = (_WAIT, "wait")
    figure = f"{wait.end - wait.start:.1f}s"
    if last - first >= len(figure):
        _write(cells, first, figure)
        return
    start = first - len(figure)  # before its dots, where the lane is silent as a rule
    if start >= 0 and all(letter == " " for letter, _ in cells[start:first]):
        _write(cells, start, figure)


def _write(cells: list[Cell], start: int, text: str) -> None:
    place = start
    for letter in text:
        columns = width_of(letter)
        if place >= 0 and place + columns <= len(cells):
            # A wide letter fills two cells; one without a width belongs to the one before it.
            for other in range(place, place + columns):
                cells[other] = (letter if other == place else "", "wait")
        place += columns


def _marks(marks: Iterable[Mark], begin: float, columns: int) -> Iterator[str]:
    lines: list[str] = []
    for mark in marks:
        place = _column(mark.at, begin)
        text = f"╵{plain(mark.text)}"
        if place + width_of(text) > columns:
            place = max(0, columns - width_of(text))
        for number, line in enumerate(lines):
            if width_of(line) < place:
                lines[number] = f"{line:{place}}{text}"
                break
        else:
            lines.append(f"{'':{place}}{text}")
    yield from (f"{'':{LABEL}} {line}" for line in lines)


def _text(cells: list[Cell], *, colour: bool) -> str:
    if not colour:
        return "".join(letter for letter, _ in cells)
    text, last = "", ""
    for letter, whose in cells:
        if whose != last:
            text += f"\x1b[{_COLOURS.get(whose, 0)}m"
            last = whose
        text += letter
    return f"{text}\x1b[0m"


def _label(name: str) -> str:
    short = plain(name)
    while width_of(short) > LABEL:
        short = short[:-1]
    return short + " " * (LABEL - width_of(short))


def _column(at: float, begin: float) -> int:
    return math.floor((at - begin) / SECONDS_A_COLUMN)
