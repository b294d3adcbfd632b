"""Databases of the basic schema as they are in the wild: what differs, and what must stay.

A change is SQL that a team may have run; one that does not fit what others left is passed over.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.postgres.server import Connection

ROWS = "select {}, {} as place from {} order by 1"
COLUMNS = """
select attname::text as name from pg_attribute
where attrelid = to_regclass($1) and attnum > 0 and not attisdropped order by attnum
"""
IS_TABLE = "select relkind = 'r' from pg_class where oid = to_regclass($1)"
TIMES = {"started_at", "connected_at", "ended_at", "created_at", "joined_at", "left_at"}
CALLS = "public.voice_calls"
LEGS = "public.call_participants"

HERE = Path(__file__)


def paragraphs(path: Path) -> list[str]:
    """Return what a file of SQL has between its empty lines, but for the remark at its head."""
    return path.read_text(encoding="utf-8").strip().split("\n\n")[1:]


CHANGES = paragraphs(HERE.with_suffix(".sql"))


async def change(conn: Connection, seed: int) -> list[str]:
    """Make one to seven changes, and return those that could be made."""
    dice = random.Random(seed)  # noqa: S311 - a test's dice
    done = []
    for statements in dice.sample(CHANGES, dice.randint(1, 7)):
        try:
            async with conn.transaction():
                await conn.execute(statements)
        except asyncpg.PostgresError:
            continue
        done.append(statements)
    return done


Row = dict[str, str | None]


async def texts(conn: Connection, home: str) -> list[Row]:
    """Return the rows of a table, every value as its text; none if it is not there."""
    names = [row["name"] for row in await conn.fetch(COLUMNS, home)]
    if not names:
        return []
    quoted = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"::text' for name in names)
    place = "ctid::text" if await conn.fetchval(IS_TABLE, home) else "null"
    rows = await conn.fetch(ROWS.format(quoted, place, home))
    return [dict(zip([*names, "place"], tuple(row), strict=True)) for row in rows]


@dataclass(frozen=True, slots=True)
class Old:
    """The rows of both tables as they were."""

    calls: list[Row]
    legs: list[Row]


async def read_old(conn: Connection) -> Old:
    """Return all rows, as texts of UTC."""
    await conn.execute("set timezone = 'UTC'; set datestyle = 'ISO'")
    return Old(await texts(conn, CALLS), await texts(conn, LEGS))


async def lost(conn: Connection, old: Old) -> list[Row]:
    """Return the old rows that the enhanced tables do not have with every value."""
    return [
        *_without_a_match(old.calls, await texts(conn, CALLS)),
        *_without_a_match(old.legs, await texts(conn, LEGS)),
    ]


def _without_a_match(before: list[Row], after: list[Row]) -> list[Row]:
    # A row that says which one it was is no other's.
    rest, missing = sorted(after, key=lambda new: "basic_row" not in (new["metadata"] or "")), []
    for row in before:
        at = next((i for i, new in enumerate(rest) if _is_all_there(row, new)), None)
        if at is None:
            missing.append(row)
        else:
            del rest[at]
    return missing


def _is_all_there(row: Row, new: Row) -> bool:
    whole = json.loads(new["metadata"] or "{}")
    ours = whole.get("basic_schema", whole)
    columns = ours.get("basic_columns")
    places = [ours, columns] if isinstance(columns, dict) else [ours]
    return ours.get("basic_row", row["place"]) == row["place"] and all(
        _in_its_column(name, text, new)
        or any(_in_metadata(name, text, place, whole) for place in places)
        for name, text in row.items()
        if text is not None and name != "place"
    )


def _in_its_column(name: str, text: str, new: Row) -> bool:
    home = {"caller_id": "user_id"}.get(name, name)
    shown = new.get(home)
    if shown is None:
        return False
    if name in TIMES:
        return _time(text) == _time(shown)
    if home in {"id", "call_id", "user_id", "callee_id"}:
        return _plain(text) == _plain(shown)
    return text == shown or (name == "is_muted" and text[0] == shown[0])


def _in_metadata(name: str, text: str, place: dict[str, object], whole: dict[str, object]) -> bool:
    if name == "metadata":
        value = _read(text)
        inside = isinstance(value, dict) and value.items() <= whole.items()
        return value in ({}, None) or inside or whole.get("metadata") == value
    names = (name, f"basic_{name}", "userId" if name == "user_id" else name)
    return any(n in place and _same(text, place[n]) for n in names)


def _same(text: str, value: object) -> bool:
    if isinstance(value, str) and _plain(text) == _plain(value):
        return True  # an id, which may be written in several ways
    return value == text or _read(text) == value or _time(text) == _time(str(value))


def _read(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return text if "\\u0000" in text else value


def _plain(text: str) -> str:
    return text.lower().strip("{}").replace("-", "")


def _time(text: str) -> str:
    plain = text.replace("T", " ", 1).replace("Z", "+00").replace("+00:00", "+00")
    if len(plain) == len("2026-01-02"):
        plain += " 00:00:00"
    return plain if plain.endswith("+00") else f"{plain}+00"
