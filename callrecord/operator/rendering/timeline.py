"""Draws a timeline in a terminal: one line per lane, in rows of time that fit the width."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from callrecord.operator.rendering.plain import plain, width_of
from callrecord.operator.timeline import Span, Timeline, Wait

SECONDS_A_COLUMN = 0.5
"""Seconds per column; more only if that saves a row."""
LABEL = 10
_SQUEEZE = 1.15
"""How much more time a row may hold, so that the last row is not a short remainder."""
_TICK_S = 10
_SPEECH, _CUT, _WAIT, _TYPED, _TOOL = "━", "\N{BOX DRAWINGS LIGHT DIAGONAL CROSS}", "·", "✎", "▒"
LEGEND = f"{_SPEECH} speech  {_CUT} interrupted  {_WAIT} wait for the answer  {_TYPED} typed"
_COLOURS = {"caller": 36, "agent": 32, "tool": 33, "note": 90, "cut": 31}

Cell = tuple[str, str]
"""A character and its colour's name in _COLOURS; '' for none."""


def timeline_lines(timeline: Timeline, *, width: int, colour: bool = False) -> list[str]:
    """Return the lines of a call's timeline; none for a call without speech.

    Args:
        timeline: The timeline to draw.
        width: Width of the terminal.
        colour: Use ANSI colours.
    """
    if not timeline.spans:
        return []
    columns = max(20, width - LABEL - 1)
    wanted = timeline.seconds / SECONDS_A_COLUMN + 1  # one more column for the last moment
    rows = math.ceil(wanted / columns / _SQUEEZE)
    scale = max(SECONDS_A_COLUMN, timeline.seconds / (rows * columns - 1))
    lines = [LEGEND]
    for row in range(rows):
        lines += ["", *_Row(timeline, scale, row * columns, columns).lines(colour=colour)]
    return lines


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a timeline's columns.

    Attributes:
        scale: Seconds per column.
        first: Number of its first column, counted from the start of the call.
    """

    timeline: Timeline
    scale: float
    first: int
    columns: int

    def lines(self, *, colour: bool) -> Iterator[str]:
        yield f"{'':{LABEL}} {self._axis()}".rstrip()
        for lane, name in enumerate(self.timeline.lanes):
            cells = self._empty()
            for span in self.timeline.spans:
                if span.lane == lane:
                    self._draw_span(cells, span)
            yield f"{_label(name)} {_text(cells, colour=colour)}".rstrip()
            cells = self._empty()
            for wait in self.timeline.waits:
                if wait.lane == lane:
                    self._draw_wait(cells, wait)
            if any(whose for _, whose in cells):
                yield f"{'':{LABEL}} {_text(cells, colour=colour)}".rstrip()
        yield from (f"{'':{LABEL}} {line}" for line in self._marks())

    def _empty(self) -> list[Cell]:
        return [(" ", "")] * self.columns

    def _column(self, at: float) -> int:
        return math.floor(at / self.scale) - self.first

    def _axis(self) -> str:
        text = ""
        for tick in range(0, math.floor(self.timeline.seconds) + 1, _TICK_S):
            place = self._column(tick)
            if 0 <= place < self.columns:
                text = f"{text:{place}}|{tick // 60}:{tick % 60:02}"
        return text[: self.columns]

    def _draw_span(self, cells: list[Cell], span: Span) -> None:
        first = self._column(span.start)
        last = max(self._column(span.end), first + 1)
        letter = {"tool": _TOOL}.get(span.kind, _TYPED if span.typed else _SPEECH)
        for place in range(max(0, first), min(self.columns, last)):
            cells[place] = (letter, span.kind)
        if span.interrupted and 0 < last <= self.columns:
            cells[last - 1] = (_CUT, "cut")
        if span.kind == "tool" and 0 <= first < self.columns:
            label = f"{plain(span.text)} {_took(span.end - span.start)}"
            fits = last + 1 + width_of(label) <= self.columns
            _write(cells, last + 1 if fits else first - 1 - width_of(label), label)

    def _draw_wait(self, cells: list[Cell], wait: Wait) -> None:
        first, last = self._column(wait.start), self._column(wait.end)
        for place in range(max(0, first), min(self.columns, last)):
            cells[place] = (_WAIT, "note")
        if 0 <= last < self.columns:
            figure = _took(wait.end - wait.start)
            _write(cells, min(last, self.columns - len(figure)), figure)

    def _marks(self) -> list[str]:
        lines: list[str] = []
        for place, marks in groupby(self.timeline.marks, lambda mark: self._column(mark.at)):
            if not 0 <= place < self.columns:
                continue
            text = ", ".join(plain(mark.text) for mark in marks)
            wide = width_of(text)
            # A text that would not fit behind its sign is written before it.
            before = place + 1 + wide > self.columns
            at = max(0, place - wide) if before else place
            text = f"{text}╵" if before else f"╵{text}"
            for number, line in enumerate(lines):
                if width_of(line) < at:
                    lines[number] = line + " " * (at - width_of(line)) + text
                    break
            else:
                lines.append(f"{'':{at}}{text}")
        return lines


def _write(cells: list[Cell], start: int, text: str) -> None:
    """Write a note over the cells, as far as it fits; a wide letter takes two cells."""
    place = start
    for letter in text:
        wide = width_of(letter)
        if place < 0 or place + wide > len(cells):
            place += wide
        elif wide == 0:
            if place > max(0, start):
                cells[place - 1] = (cells[place - 1][0] + letter, "note")
        else:
            cells[place : place + wide] = [(letter, "note"), ("", "note")][:wide]
            place += wide


def _text(cells: list[Cell], *, colour: bool) -> str:
    text = ""
    for whose, same in groupby(cells, lambda cell: cell[1]):
        letters = "".join(letter for letter, _ in same)
        text += f"\x1b[{_COLOURS[whose]}m{letters}\x1b[0m" if colour and whose else letters
    return text


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"


def _label(name: str) -> str:
    short = plain(name)
    while width_of(short) > LABEL:
        short = short[:-1]
    return short + " " * (LABEL - width_of(short))
