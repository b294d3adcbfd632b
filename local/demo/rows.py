"""The rows of one call, as Postgres has them."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg

from local.sql import sql

Row = dict[str, Any]

_MIN_TURNS: Final = 3


@dataclass(frozen=True)
class Rows:
    """All rows of a call; keys are the tables' column names.

    Attributes:
        call: Its row of voice_calls.
        participants: Its legs, in order of joining.
        messages: What was said, in order.
        usage: Every request to a model, in order.
    """

    call: Row
    participants: list[Row]
    messages: list[Row]
    usage: list[Row]

    def missing(self) -> list[str]:
        """Return which rows of a complete conversation are missing; empty if none."""
        said = {role: [m for m in self.messages if m["role"] == role] for role in _SPEAKERS}
        humans = [leg for leg in self.participants if leg["participant_type"] != "agent"]
        checks = {
            f"status is {self.call['status']}, not completed": self.call["status"] == "completed",
            "ended_at is not set": self.call["ended_at"] is not None,
            "no tokens were counted": (self.call["total_tokens_used"] or 0) > 0,
            "no caller's leg with its end": any(leg["left_at"] for leg in humans),
            "no leg of the agent": len(humans) < len(self.participants),
            "no interrupted turn": any(message["interrupted"] for message in self.messages),
            "no request to a model": bool(self.usage),
        }
        for role, messages in said.items():
            text = f"{len(messages)} turns of role {role}, not {_MIN_TURNS} or more"
            checks[text] = len(messages) >= _MIN_TURNS
        return [text for text, is_right in checks.items() if not is_right]

    def as_json(self) -> str:
        """Return them as a JSON document: ISO timestamps, ids as strings."""
        document = {
            "call": self.call,
            "participants": self.participants,
            "messages": self.messages,
            "usage": self.usage,
        }
        return json.dumps(document, indent=2, default=_plain) + "\n"


_SPEAKERS: Final = ("user", "assistant")


async def read_rows(connection: asyncpg.Connection, call_id: UUID) -> Rows:
    """Read the rows of a call that exists."""

    async def rows_of(table: str) -> list[Row]:
        return [dict(record) for record in await connection.fetch(sql(f"rows_{table}"), call_id)]

    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
    (call,) = await rows_of("call")
    return Rows(
        call, await rows_of("participants"), await rows_of("messages"), await rows_of("usage")
    )


def _plain(value: object) -> str | float:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
