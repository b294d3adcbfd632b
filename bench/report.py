"""What every benchmark says: the machine, the versions, the figures and their ratios."""

import argparse
import json
import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 to 1) of the values do not exceed; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> Row:
    """Return n, p50, p99 and the largest of the values, in their unit."""
    return {
        "n": len(values),
        "p50": percentile(values, 0.5),
        "p99": percentile(values, 0.99),
        "max": max(values, default=math.nan),
    }


def conditions() -> dict[str, str]:
    """Return where and with what this runs; the load tells how much else runs here."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} "
        f"{platform.release()}",
        "load": ", ".join(f"{value:.2f}" for value in os.getloadavg()) + " (1, 5, 15 minutes)",
        "python": platform.python_version(),
        "asyncpg": version("asyncpg"),
        "livekit-agents": version("livekit-agents"),
    }


def show(title: str, rows: Sequence[Row]) -> None:
    """Print rows as a table; columns are the keys of the first one."""
    columns = list(rows[0])
    cells = [[_text(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    print(f"\n{title}")
    for line in [columns, *cells]:
        first, *others = zip(line, widths, strict=True)
        print("  " + "  ".join([first[0].ljust(first[1]), *(cell.rjust(w) for cell, w in others)]))


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--out", type=Path, metavar="FILE", help="write the figures there as JSON")
    return made


def finish(out: Path | None, name: str, result: dict[str, Any], begun: dict[str, str]) -> None:
    """Print the conditions, and write everything to `out` if it is given.

    Args:
        out: A JSON file, or None.
        name: Of the benchmark.
        result: Its figures.
        begun: The conditions at its start; the load at its end is added.
    """
    told = {**begun, "load at the end": conditions()["load"]}
    print()
    for key, value in told.items():
        print(f"  {key}: {value}")
    if out is not None:
        text = json.dumps({"benchmark": name, "conditions": told, **result}, indent=2, default=str)
        out.write_text(text + "\n", encoding="utf-8")


def _text(value: object) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "-"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
