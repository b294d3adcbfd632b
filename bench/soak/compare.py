"""The ledger beside the tables: what is lost, doubled or told wrongly."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from bench.soak.copies import Recorded
from bench.soak.ledger import Call, Ledger
from bench.sql import sql

Row = dict[str, Any]

REASONS = {"hang up": "caller_hangup", "goodbye": "agent_hangup", "delete room": "room_closed"}
RACE_S = 3.0
"""A kill this close to the caller's own end may come before or after it (the grace is 1 s)."""
CRASHED = "worker_crashed"


@dataclass
class Verdict:
    """What is wrong, each a line for people; all empty is a good end.

    Attributes:
        lost: Turns, rows or calls that are nowhere.
        doubled: Turns or calls that are there more than once.
        wrong: Ends that are not true, and legs left open.
        latest_end_s: The longest time from a killed job's death to the end its call was given.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    refused: int = 0
    latest_end_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.wrong or self.refused)


async def compare(url: str, ledger: Ledger, recorded: Recorded) -> Verdict:
    """Read the tables and judge every call."""
    connection = await asyncpg.connect(url)
    try:
        calls = [dict(row) for row in await connection.fetch(sql("soak_calls"))]
        messages = await connection.fetch(sql("soak_messages"))
        stored = Counter(row["id"] for row in await connection.fetch(sql("soak_ids")))
        refused = int(await connection.fetchval(sql("soak_refused")))
    finally:
        await connection.close()
    verdict = Verdict(refused=refused)
    verdict.lost += [f"recorded row {id_}" for id_ in recorded.ids - stored.keys()]
    said: dict[UUID, Counter[tuple[str, str]]] = {}
    for row in messages:
        said.setdefault(row["call_id"], Counter())[row["role"], row["content"]] += 1
    by_room: dict[str, list[Row]] = {}
    for call in calls:
        by_room.setdefault(call["room_sid"], []).append(call)
        if call["end_reason"] is None or call["open_legs"]:
            verdict.wrong.append(f"{call['room_sid']}: no end, or {call['open_legs']} open legs")
    for page in ledger.calls:
        rows = by_room.pop(page.sid, [])
        if len(rows) > 1:
            verdict.doubled.append(f"{page.room} has {len(rows)} rows")
        elif rows:
            _judge_turns(verdict, page, said.get(rows[0]["id"], Counter()))
            _judge_end(verdict, page, rows[0], ledger.killed)
        elif page.jobs:
            verdict.lost.append(f"{page.room} has no row")
    verdict.wrong += [f"{sid}: a call of nobody" for sid in by_room]
    return verdict


def _judge_turns(verdict: Verdict, page: Call, said: Counter[tuple[str, str]]) -> None:
    for text in page.typed:
        found = said["user", text]
        if found > 1:
            verdict.doubled.append(f"{page.room}: {text!r} is there {found} times")
        if found == 0 and text in page.answered:
            verdict.lost.append(f"{page.room}: {text!r} was answered")
    users = {text: count for (role, text), count in said.items() if role == "user"}
    aloud = sum(count for text, count in users.items() if text not in page.typed)
    if aloud < page.spoken:
        verdict.lost.append(f"{page.room}: {aloud} of {page.spoken} spoken turns")
    answers = sum(count for (role, _), count in said.items() if role == "assistant")
    if answers < len(page.heard_out) + page.greeted:
        verdict.lost.append(f"{page.room}: {answers} of the agent's turns, {page.heard_out}")


def _judge_end(verdict: Verdict, page: Call, row: Row, killed: dict[str, float]) -> None:
    if not page.jobs:
        return  # the caller met nobody: whatever end the row tells, it has one
    died_at = killed.get(row["job_id"])
    own = REASONS.get(page.end, "caller_hangup")
    if page.end == "goodbye, unanswered":
        expected = {"agent_hangup", "caller_hangup", CRASHED}  # who was first cannot be told
    elif died_at is None:
        expected = {own}
    elif died_at < page.ended_at:
        expected = {CRASHED}
    elif died_at < page.ended_at + RACE_S or page.end.startswith("goodbye"):
        expected = {own, CRASHED}
    else:
        expected = {own}
    if row["end_reason"] not in expected:
        told = f"{page.room} ({row['job_id']}) ended as {row['end_reason']}, not {expected}"
        verdict.wrong.append(f"{told}; {page.end} at {page.ended_at:.1f}, killed {died_at}")
    if row["end_reason"] == CRASHED and died_at is not None:
        late = row["ended_at"].timestamp() - died_at
        verdict.latest_end_s = max(verdict.latest_end_s, late)
