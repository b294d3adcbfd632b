"""Renders tables in plain text."""

from collections.abc import Iterable, Sequence

from callrecord.operator.rendering.plain import plain, width_of, wrapped

GAP = "  "
NARROWEST = 16
"""Minimum width of a column of wrapped text."""


def table(
    names: Sequence[str],
    rows: Iterable[Sequence[str | None]],
    *,
    width: int,
    wraps: Iterable[str] = (),
) -> list[str]:
    """Return the lines of a table.

    Args:
        names: The names of the columns.
        rows: The cells; None or empty is shown as `-`.
        width: Width of the terminal. A table may be wider, because only cells of `wraps` wrap.
        wraps: Names of the columns whose cells may take several lines.
    """
    cells = [[plain(cell) if cell else "-" for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(names, *cells, strict=True)]
    wrapping = [place for place, name in enumerate(names) if name in set(wraps)]
    _shrink(widths, wrapping, width - len(GAP) * (len(names) - 1))
    lines = [_line(names, widths), _line(["-" * each for each in widths], widths)]
    for row in cells:
        lines += _row(row, widths, wrapping)
    return lines


def _shrink(widths: list[int], wrapping: list[int], room: int) -> None:
    """Narrow the widest wrapping column until the table fits or none can be narrower."""
    for place in wrapping:
        widths[place] = min(widths[place], max(room, NARROWEST))
    while sum(widths) > room:
        widest = max(wrapping, key=lambda place: widths[place], default=None)
        if widest is None or widths[widest] <= NARROWEST:
            return
        widths[widest] -= 1


def _row(row: list[str], widths: list[int], wrapping: list[int]) -> list[str]:
    parts = [
        wrapped(cell, widths[place]) if place in wrapping else [cell]
        for place, cell in enumerate(row)
    ]
    height = max(map(len, parts))
    return [
        _line([part[n] if n < len(part) else "" for part in parts], widths) for n in range(height)
    ]


def _line(cells: Sequence[str], widths: list[int]) -> str:
    padded = (
        cell + " " * (width - width_of(cell)) for cell, width in zip(cells, widths, strict=True)
    )
    return GAP.join(padded).rstrip()
