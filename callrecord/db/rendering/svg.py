"""A timeline as a picture: one SVG file, readable in light and in dark, with nothing outside it."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from callrecord.db.rendering.plain import plain
from callrecord.db.timeline import STAGES, Mark, Span, Timeline, Wait

_LEFT, _RIGHT, _TOP, _LANE, _BAR = 110, 30, 64, 58, 26
_NARROWEST, _WIDEST = 900, 20_000
_PER_S = 36.0
"""Pixels of a second; fewer in a call that would be wider than _WIDEST."""
_LETTER = 6.6
_TICK_S = 5

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1c2430; }
.ground { fill: #ffffff; } .grid { stroke: #d9dee5; } .small { font-size: 10px; fill: #5b6675; }
.caller { fill: #9ecbf5; } .agent { fill: #a8dcb5; } .tool { fill: #f3d58a; }
.cut { stroke: #d03434; stroke-width: 3; } .mark { stroke: #8793a3; stroke-dasharray: 3 3; }
.s0 { fill: #7d8fe0; } .s1 { fill: #b39ddb; } .s2 { fill: #90a4ae; } .s3 { fill: #ef9a6d; }
.s4 { fill: #f6c177; } .s5 { fill: #66b8a5; } .s6 { fill: #5aa0c8; } .rest { fill: #cfd6df; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6ebf2; } .ground { fill: #14181f; } .grid { stroke: #2b323d; }
  .small { fill: #9aa6b5; } .caller { fill: #2f6ea8; } .agent { fill: #2f7a48; }
  .tool { fill: #8a6a1f; } .rest { fill: #3a4350; } .mark { stroke: #6b7787; }
}
"""


def svg_lines(timeline: Timeline, *, title: str) -> list[str]:
    """Return the lines of the picture of a call."""
    scale = min(_PER_S, _WIDEST / max(timeline.seconds, 1.0))
    width = max(_NARROWEST, round(_LEFT + timeline.seconds * scale + _RIGHT))
    lanes_end = _TOP + _LANE * max(1, len(timeline.lanes))
    height = lanes_end + 30 + 14 * min(len(timeline.marks), 8)
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
        *(line for wait in timeline.waits for line in _wait(wait, scale)),
        *(line for span in timeline.spans for line in _span(span, scale)),
        *_marks(timeline.marks, scale, lanes_end, width),
        "</svg>",
    ]


def _legend() -> Iterator[str]:
    x = 12.0
    for number, name in enumerate(STAGES):
        yield f'<rect class="s{number}" x="{x:.0f}" y="30" width="10" height="10"/>'
        yield f'<text class="small" x="{x + 14:.0f}" y="39">{name}</text>'
        x += 22 + len(name) * 5.6


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
    told = f"{span.text} ({span.end - span.start:.1f} s{cut})"
    yield f"<g><title>{_safe(told)}</title>"
    yield (
        f'<rect class="{span.kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}"'
        ' rx="5"/>'
    )
    room = int((width - 8) / _LETTER)
    if span.kind == "tool":
        yield f'<text class="small" x="{x:.1f}" y="{y + _BAR + 12}">{_safe(span.text[:40])}</text>'
    elif room >= 3:  # noqa: PLR2004 - letters
        text = span.text if len(span.text) <= room else f"{span.text[: room - 1]}…"
        yield f'<text x="{x + 5:.1f}" y="{y + 17}">{_safe(text)}</text>'
    if span.interrupted:
        end = x + width
        yield f'<line class="cut" x1="{end:.1f}" x2="{end:.1f}" y1="{y - 3}" y2="{y + _BAR + 3}"/>'
    yield "</g>"


def _wait(wait: Wait, scale: float) -> Iterator[str]:
    x, y, whole = _LEFT + wait.start * scale, _y(wait.lane) + _BAR * 0.3, wait.end - wait.start
    told = ", ".join(f"{name} {took:.2f} s" for name, took in wait.stages)
    yield f"<g><title>{_safe(f'answered after {whole:.2f} s: {told}')}</title>"
    bar = f'y="{y:.1f}" height="{_BAR * 0.4:.1f}"'
    yield f'<rect class="rest" x="{x:.1f}" width="{whole * scale:.1f}" {bar}/>'
    at = x
    for name, took in wait.stages:
        yield (
            f'<rect class="s{STAGES.index(name)}" x="{at:.1f}" width="{took * scale:.1f}" {bar}/>'
        )
        at += took * scale
    yield f'<text class="small" x="{x:.1f}" y="{_y(wait.lane) + _BAR + 12}">{whole:.1f} s</text>'
    yield "</g>"


def _marks(marks: tuple[Mark, ...], scale: float, end: float, width: int) -> Iterator[str]:
    for number, mark in enumerate(marks):
        x, y = _LEFT + mark.at * scale, end + 12 + 14 * (number % 8)
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{y:.1f}"/>'
        # One that would run out of the picture stands before its line.
        before = x + len(mark.text) * _LETTER > width
        place = f'x="{x - 3:.1f}" text-anchor="end"' if before else f'x="{x + 3:.1f}"'
        yield f'<text class="small" {place} y="{y:.1f}">{_safe(mark.text)}</text>'


def _y(lane: int) -> int:
    return _TOP + 10 + lane * _LANE


def _safe(text: str) -> str:
    """Return text for XML: names and words are data, whatever they hold."""
    return escape(plain(text), {'"': "&quot;"})
