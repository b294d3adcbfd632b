"""The models' bill beside what the database says, by kind of model."""

from dataclasses import dataclass, field
from typing import Any

import asyncpg

from bench import report
from bench.sql import sql

UNITS = ("input_tokens", "output_tokens", "characters", "audio_ms")


@dataclass
class Sums:
    """What one side counts of a kind of model."""

    requests: int = 0
    units: dict[str, int] = field(default_factory=lambda: dict.fromkeys(UNITS, 0))

    def add(self, units: dict[str, Any]) -> None:
        """Add a request."""
        self.requests += 1
        for name in UNITS:
            self.units[name] += units.get(name) or 0


def of_bill(lines: list[dict[str, Any]]) -> dict[str, Sums]:
    """Sum the lines of GET /bill by kind."""
    found: dict[str, Sums] = {}
    for line in lines:
        units = line | {
            "input_tokens": line.get("prompt_tokens"),
            "output_tokens": line.get("completion_tokens"),
        }
        found.setdefault(line["kind"], Sums()).add(units)
    return found


async def of_ledger(connection: "asyncpg.Connection[Any]") -> dict[str, Sums]:
    """Sum voice_usage by kind."""
    found: dict[str, Sums] = {}
    for row in await connection.fetch(sql("usage_rows")):
        if not row["refused"]:  # the models' server has not counted what it did not take
            found.setdefault(row["kind"], Sums()).add(dict(row))
    return found


async def told(connection: "asyncpg.Connection[Any]", lines: list[dict[str, Any]]) -> report.Row:
    """Return how many requests told their tokens, and by how many these differ from the bill."""
    billed = {line["id"]: line for line in lines}
    rows = [
        row
        for row in await connection.fetch(sql("usage_rows"))
        if not row["estimated"] and row["request_id"] in billed and row["kind"] == "llm"
    ]
    wrong = sum(
        abs(row["input_tokens"] - billed[row["request_id"]]["prompt_tokens"])
        + abs(row["output_tokens"] - billed[row["request_id"]]["completion_tokens"])
        for row in rows
    )
    return {"llm requests that told": len(rows), "tokens that differ from the bill": wrong}


def beside(bill: dict[str, Sums], ledger: dict[str, Sums]) -> list[report.Row]:
    """Return a row for each kind and unit that either side counts."""
    rows: list[report.Row] = []
    for kind in sorted({*bill, *ledger}):
        billed, booked = bill.get(kind, Sums()), ledger.get(kind, Sums())
        pairs = [("requests", billed.requests, booked.requests)]
        pairs += [(unit, billed.units[unit], booked.units[unit]) for unit in UNITS]
        rows += [
            {
                "kind": kind,
                "unit": unit,
                "bill": theirs,
                "ledger": ours,
                "ledger - bill": ours - theirs,
            }
            for unit, theirs, ours in pairs
            if theirs or ours
        ]
    return rows
