"""Draws a timeline as one self-contained SVG file, with a light and a dark theme."""

from collections.abc import Iterator
from itertools import groupby
from xml.sax.saxutils import escape

from callrecord.operator.rendering.plain import plain, width_of
from callrecord.operator.timeline import STAGES, Span, Timeline, Wait

_LEFT, _RIGHT, _TOP, _LANE, _BAR = 110, 30, 64, 58, 26
_NARROWEST, _WIDEST = 900, 20_000
_PER_S = 36.0
"""Pixels per second; fewer if the picture would be wider than _WIDEST."""
_LETTER, _SMALL = 6.8, 5.8
"""Approximate widths of a letter; the viewer chooses the font."""
_STRIP, _MARK = 7, 14
_TICK_S = 5

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1c2430; }
.ground { fill: #ffffff; } .grid { stroke: #d9dee5; } .small { font-size: 10px; fill: #5b6675; }
.caller { fill: #9ecbf5; } .agent { fill: #a8dcb5; } .tool { fill: #f3d58a; }
.cut { stroke: #d03434; stroke-width: 3; } .end { fill: #d03434; }
.mark { stroke: #8793a3; stroke-dasharray: 3 3; }
.s0 { fill: #7d8fe0; } .s1 { fill: #b39ddb; } .s2 { fill: #90a4ae; } .s3 { fill: #ef9a6d; }
.s4 { fill: #f6c177; } .s5 { fill: #66b8a5; } .s6 { fill: #5aa0c8; } .rest { fill: #cfd6df; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf2; } .ground { fill: #14181f; } .grid { stroke: #2b323d; }
  .small { fill: #9aa6b5; } .caller { fill: #2f6ea8; } .agent { fill: #2f7a48; }
  .tool { fill: #8a6a1f; } .rest { fill: #3a4350; } .mark { stroke: #6b7787; }
}
"""


def svg_lines(timeline: Timeline, *, title: str) -> list[str]:
    """Return the lines of the SVG file."""
    scale = min(_PER_S, _WIDEST / max(timeline.seconds, 1.0))
    width = max(_NARROWEST, round(_LEFT + timeline.seconds * scale + _RIGHT))
    lanes_end = _TOP + _LANE * max(1, len(timeline.lanes))
    marks = _rows_of_marks(timeline, scale, width)
    height = lanes_end + 16 + _MARK * len(marks)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{_safe(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
        f'<text x="12" y="20">{_safe(title)}</text>',
        *_legend(),
        *_axis(timeline, scale, lanes_end),
        *_lanes(timeline),
        *_marks(marks, lanes_end),
        *(line for wait in timeline.waits for line in _wait(wait, scale)),
        *(line for span in timeline.spans for line in _span(span, scale)),
        "</svg>",
    ]


def _legend() -> Iterator[str]:
    x = 12.0
    named = [(f"s{number}", name) for number, name in enumerate(STAGES)]
    for kind, name in (*named, ("rest", "not known"), ("end", "interrupted")):
        yield f'<rect class="{kind}" x="{x:.0f}" y="30" width="10" height="10"/>'
        yield f'<text class="small" x="{x + 14:.0f}" y="39">{name}</text>'
        x += 30 + len(name) * _SMALL


def _axis(timeline: Timeline, scale: float, end: float) -> Iterator[str]:
    every = _TICK_S * max(1, round(40 / (_TICK_S * scale)))
    for tick in range(0, int(timeline.seconds) + 1, every):
        x = _LEFT + tick * scale
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{end}"/>'
        clock = f"{tick // 60}:{tick % 60:02}"
        yield f'<text class="small" x="{x + 3:.1f}" y="{_TOP - 2}">{clock}</text>'


def _lanes(timeline: Timeline) -> Iterator[str]:
    for lane, name in enumerate(timeline.lanes):
        short = name if len(name) <= 15 else f"{name[:14]}…"  # noqa: PLR2004 - what _LEFT holds
        yield f'<text x="12" y="{_y(lane) + _BAR * 0.68:.1f}">{_safe(short)}</text>'


def _span(span: Span, scale: float) -> Iterator[str]:
    x, y = _LEFT + span.start * scale, _y(span.lane)
    width = max(3.0, (span.end - span.start) * scale)
    cut = ", interrupted" if span.interrupted else ""
    title = f"{span.text} ({span.end - span.start:.1f} s{cut})"
    yield f"<g><title>{_safe(title)}</title>"
    yield (
        f'<rect class="{span.kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}"'
        ' rx="5"/>'
    )
    room = int((width - 8) / _LETTER)
    if span.kind == "tool" or span.typed:
        text = _short(f"✎ {span.text}" if span.typed else span.text, 40)
        yield f'<text class="small" x="{x:.1f}" y="{y + _BAR + 12}">{_safe(text)}</text>'
    elif room >= 3:  # noqa: PLR2004 - letters
        yield f'<text x="{x + 5:.1f}" y="{y + 17}">{_safe(_short(span.text, room))}</text>'
    if span.interrupted:
        end = x + width
        yield f'<line class="cut" x1="{end:.1f}" x2="{end:.1f}" y1="{y - 3}" y2="{y + _BAR + 3}"/>'
    yield "</g>"


def _wait(wait: Wait, scale: float) -> Iterator[str]:
    x, y, whole = _LEFT + wait.start * scale, _y(wait.lane) + _BAR + 4, wait.end - wait.start
    stages = ", ".join(f"{stage.name} {stage.seconds:.2f} s" for stage in wait.stages) or "?"
    yield f"<g><title>{_safe(f'answered after {whole:.2f} s: {stages}')}</title>"
    bar = f'y="{y}" height="{_STRIP}"'
    yield f'<rect class="rest" x="{x:.1f}" width="{whole * scale:.1f}" {bar}/>'
    for stage in wait.stages:
        at, wide = _LEFT + stage.start * scale, (stage.end - stage.start) * scale
        kind = f"s{STAGES.index(stage.name)}"
        yield f'<rect class="{kind}" x="{at:.1f}" width="{wide:.1f}" {bar}/>'
    end = x + whole * scale
    yield f'<text class="small" x="{end + 4:.1f}" y="{y + _STRIP}">{whole:.1f} s</text>'
    yield "</g>"


Placed = tuple[float, float, str]
"""The x of a mark, the x of its text, and the text."""


def _rows_of_marks(timeline: Timeline, scale: float, width: int) -> list[list[Placed]]:
    """Arrange the marks in as few rows as possible without overlapping texts."""
    rows: list[list[Placed]] = []
    ends: list[float] = []
    for x, marks in groupby(timeline.marks, lambda mark: round(_LEFT + mark.at * scale)):
        text = ", ".join(mark.text for mark in marks)
        wide = width_of(plain(text)) * _SMALL
        at = max(3.0, min(x + 3.0, width - wide - 3))  # a text at the right edge moves left
        for number, end in enumerate(ends):
            if end < at:
                rows[number].append((x, at, text))
                ends[number] = at + wide + 8
                break
        else:
            rows.append([(x, at, text)])
            ends.append(at + wide + 8)
    return rows


def _marks(rows: list[list[Placed]], end: float) -> Iterator[str]:
    for number, row in enumerate(rows):
        for x, at, text in row:
            y = end + 12 + _MARK * number
            yield f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP - 8}" y2="{y}"/>'
            yield f'<text class="small" x="{at:.1f}" y="{y}">{_safe(text)}</text>'


def _short(text: str, room: int) -> str:
    """Return as much of a text as fits into `room` letters."""
    if width_of(text) <= room:
        return text
    while width_of(text) >= room:
        text = text[: min(len(text) - 1, room)]
    return f"{text}…"


def _y(lane: int) -> int:
    return _TOP + 10 + lane * _LANE


def _safe(text: str) -> str:
    """Escape untrusted text for XML."""
    return escape(plain(text), {'"': "&quot;"})
